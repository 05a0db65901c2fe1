"""What --dry_run says, against what can be counted by hand."""

import jax
import pytest

from ifmdm_jax import errors
from ifmdm_jax.training import hardware, plan
from tests.training import toy


def test_a_plan_counts_what_the_run_will_hold():
  config = toy.get_config()
  found = plan.dry_run(config, jax.devices(), compile_it=True)
  assert found.params == {'inner': 4 * 8 + 8, 'outer': 8 * 4}
  kernels, rest = 4 * (4 * 8 + 8 * 4), 4 * 8
  assert found.state == kernels / 4 + rest  # kernels are split over four devices
  assert found.flops > 5 * 8 * 2 * 32  # two products of 8 rows forward, three back
  assert found.bytes > found.state and found.temporary > 0
  assert found.live > found.state  # the gradient alone is as large
  said = plan.describe(found, 'H100')
  assert 'parameters          72' in said and 'samples/s' in said and 'fits into 80 GB' in said
  assert 'read and written' in said and 'all-reduce' in said  # compiled for four devices
  with pytest.raises(errors.InputError, match="'GPU': choose from A100"):
    plan.describe(found, 'GPU')


def test_collectives_are_read_from_the_program():
  text = """
  %a = f32[128,4]{1,0} all-reduce(%x), channel_id=1
  %b = (f32[8]{0}, bf16[2,2]{1,0}) all-reduce(%y, %z), replica_groups={}
  %z = (f32[2]{0}, f32[2]{0}, f32[2]{0}, f32[2]{0}, f32[2]{0}, /*index=5*/f32[6]{0}) all-reduce(%v)
  %c = f32[16]{0} all-gather-start(%w), dimensions={0}
  %d = f32[16]{0} all-gather-done(%c)
  """
  assert plan.collective_bytes(text) == {'all-reduce': 4 * 512 + 32 + 8 + 64, 'all-gather': 64}


def test_devices_are_known_by_their_kind():
  assert hardware.of('NVIDIA H100 80GB HBM3').tflops == 989
  assert hardware.of('TPU v5 lite').tflops == 197  # not v5p
  assert hardware.of('cpu') is None


def test_memory_while_a_step_runs_is_what_the_backward_pass_keeps():
  def loss(x, w):
    for _ in range(3):
      x = jax.numpy.tanh(x @ w)
    return x.sum()

  x, w = (jax.ShapeDtypeStruct(shape, 'float32') for shape in ((64, 32), (32, 32)))
  layer = 64 * 32 * 4
  kept = plan.peak_bytes(jax.make_jaxpr(jax.grad(loss, 1))(x, w).jaxpr, batch=64, parts=1)
  assert 3 * layer <= kept <= 8 * layer  # three activations, slopes, and what is at work
  of_two = lambda f: plan.peak_bytes(jax.make_jaxpr(jax.grad(f, 1))(x, w).jaxpr, batch=64, parts=2)
  assert of_two(loss) < 0.7 * kept
  assert of_two(lambda x, w: loss(x[None], w)) < 0.7 * kept  # batch in the second axis


def test_a_gradient_is_not_taken_for_a_batch():
  x, w = (jax.ShapeDtypeStruct(shape, 'float32') for shape in ((8, 64), (64, 16)))
  program = jax.make_jaxpr(jax.grad(lambda w, x: (x @ w).sum()))(w, x).jaxpr
  assert plan.peak_bytes(program, batch=8, parts=8, whole={w.shape}) >= 4 * 64 * 16
