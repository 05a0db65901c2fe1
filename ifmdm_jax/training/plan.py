"""What a run would cost, by its compiled program: `--dry_run` and the scaling experiment."""

import math
import os
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

from ifmdm_jax import errors
from ifmdm_jax.training import contract, hardware, program, sharding

MOST = 4096  # virtual devices
EFFICIENCY = 0.4  # share of the peak that such networks usually reach; an assumption
BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's32': 4, 'u32': 4, 'f32': 4, 'f64': 8}
COLLECTIVES = ('all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute')


class Plan(NamedTuple):
  """Per step of the whole run, or per device where it says so; bytes and FLOPs.

  Attributes:
    devices, batch: of the run.
    params: {name: numbers} of each network; leaves of the first level.
    flops: whole step, as the traced program has it.
    bytes: per device, read and written by the fused program of the backend at hand, or None if it
      was not compiled; a fusion counts its inputs and outputs once.
    state, ema, optimiser: bytes per device of what lives from step to step.
    live: bytes per device that the traced step needs at once besides its inputs; see
      `peak_bytes`.
    temporary: the same as the backend at hand plans it (`compiled.memory_analysis()`), or None if
      it was not compiled.
    collectives: {kind: bytes per device}, if it was compiled.
    compute: dtype of the matrix products.
  """

  devices: int
  batch: int
  params: dict
  flops: float
  bytes: float | None
  state: float
  optimiser: float
  ema: float
  live: float
  temporary: float | None
  collectives: dict
  compute: str


def pretend(count):
  """Makes virtual CPU devices, or takes the real ones; to be called before any array exists."""
  if count is None:
    return jax.devices()
  if count > MOST:
    raise errors.InputError(f'expected --devices of {MOST} at most, got {count}: plan for fewer')
  os.environ['JAX_PLATFORMS'] = 'cpu'
  jax.config.update('jax_platforms', 'cpu')
  jax.config.update('jax_num_cpu_devices', count)
  devices = jax.devices('cpu')
  if len(devices) < count:
    raise errors.InputError(f'expected {count} virtual devices, got {len(devices)}')
  return devices[:count]


def dry_run(config, devices, compile_it=False):
  """Plans a config: traces the update and, with `compile_it`, compiles it for `devices`."""
  train = program.settings(config)
  run = program.build(config, devices)
  frozen = abstract_frozen(run, config)
  batch = abstract_batch(run, config)
  key = jax.eval_shape(lambda: jax.random.key(0))
  place = lambda tree, shardings: jax.tree.map(
    lambda leaf, s: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=s), tree, shardings
  )
  state = place(run.shapes, run.shardings)
  with program.fitting('the config'):
    traced = run.update.trace(state, batch, key, frozen)
  lowered = traced.lower()
  moved, temporary, collectives = None, None, {}
  if compile_it:
    compiled = lowered.compile()
    moved = compiled.cost_analysis()['bytes accessed']
    temporary = compiled.memory_analysis().temp_size_in_bytes
    collectives = collective_bytes(compiled.as_text())
  return Plan(
    devices=len(devices),
    batch=train.batch,
    params={name: program.count(part) for name, part in run.shapes.params.items()},
    flops=hardware.flops(lowered, train.pieces),
    bytes=moved,
    state=per_device(run.shapes.params, run.shardings.params)
    + per_device(run.shapes.extra, run.shardings.extra),
    optimiser=per_device(run.shapes.opt_state, run.shardings.opt_state),
    ema=per_device(run.shapes.ema, run.shardings.ema),
    live=peak_bytes(
      traced.jaxpr.jaxpr,
      train.batch,
      sharding.batch_parts(run.mesh),
      whole={leaf.shape for leaf in jax.tree.leaves(run.shapes.params)},
    ),
    temporary=temporary,
    collectives=collectives,
    compute=train.compute,
  )


def abstract_batch(run, config):
  """Returns shapes of a batch: as the model's `example` says, or as the loader's first one is."""
  train = program.settings(config)
  if isinstance(run.model, contract.Example):
    batch = run.model.example(config.model, train.batch)
  else:
    loader = program.module(config, 'data').make_loader
    batch = next(iter(loader(config.data, batch=train.batch, seed=0, split='train')))
  split = sharding.batch_sharding(run.mesh)
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=split), batch)


def abstract_frozen(run, config):
  if not isinstance(run.model, contract.Frozen):
    return None
  constants = run.model.frozen(config.model)
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x), sharding=run.everywhere),
    constants,
  )


def per_device(shapes, shardings):
  """Counts bytes of a tree on one device."""
  sizes = jax.tree.map(
    lambda leaf, s: math.prod(s.shard_shape(leaf.shape)) * leaf.dtype.itemsize, shapes, shardings
  )
  return float(sum(jax.tree.leaves(sizes)))


def peak_bytes(jaxpr, batch, parts, whole=()):
  """Counts the most bytes that results within a jaxpr take at once, in order, nothing fused.

  Results whose first axis, ones aside, is the batch or a multiple of it count for one of `parts`
  devices, unless their shape is among `whole`: a gradient may look like a batch. An estimate: XLA
  fuses elementwise work, but copies for its convolutions; experiments/scaling compares.
  """

  def size(variable):
    shape, dtype = getattr(variable.aval, 'shape', ()), getattr(variable.aval, 'dtype', None)
    rows = next((length for length in shape if length != 1), 0)
    shared = parts if rows and rows % batch == 0 and shape not in whole else 1
    return math.prod(shape) * getattr(dtype, 'itemsize', 0) / shared

  def is_variable(atom):
    return not hasattr(atom, 'val')  # a literal has a value

  def peak(jaxpr):
    last = {}
    for index, equation in enumerate(jaxpr.eqns):
      last.update({v: index for v in equation.invars if is_variable(v)})
    last.update({v: len(jaxpr.eqns) for v in jaxpr.outvars if is_variable(v)})
    made, now, most = {}, 0.0, 0.0
    for index, equation in enumerate(jaxpr.eqns):
      within = max((peak(inner) for inner in jaxprs_in_params(equation.params)), default=0.0)
      results = {v: size(v) for v in equation.outvars if v in last}
      most = max(most, now + max(within, sum(results.values())))
      made.update(results)
      now += sum(results.values())
      for v in {v for v in equation.invars if is_variable(v)}:
        if v in made and last[v] == index:
          now -= made.pop(v)
    return most

  return peak(jaxpr)


def collective_bytes(text):
  """Counts {kind: bytes that one device's results of it have} in optimised HLO.

  Collectives in the body of a loop count once. '-start' and '-done' pairs count as one.
  """
  sizes_of = dict.fromkeys(COLLECTIVES, 0)
  text = re.sub(r'/\*.*?\*/', '', text)  # a long tuple is counted out: /*index=5*/
  operation = re.compile(rf'= (\(?[^=]*?) ({"|".join(COLLECTIVES)})(?:-start)?\(')
  for shapes, kind in operation.findall(text):
    for dtype, sizes in re.findall(r'(\w+)\[([\d,]*)\]', shapes):
      numbers = math.prod(int(n) for n in sizes.split(',') if n)
      sizes_of[kind] += BYTES.get(dtype, 4) * numbers
  return {kind: size for kind, size in sizes_of.items() if size}


def describe(plan, accelerator):
  """Writes the lines of --dry_run."""
  device = hardware.of(accelerator)
  if device is None:
    raise errors.InputError(
      f'--accelerator {accelerator!r}: choose from {", ".join(hardware.DEVICES)}'
    )
  total = sum(plan.params.values())
  parts = ', '.join(f'{name} {count:,}' for name, count in plan.params.items())
  giga = lambda size: f'{size / 1e9:.2f} GB'
  per_device = plan.flops / plan.devices
  peak = 1e12 * device.tflops * (1.0 if plan.compute == 'bfloat16' else 0.5)
  lines = [
    f'parameters          {total:,} ({parts})',
    f'FLOPs per step      {plan.flops:.3g}, {plan.flops / plan.batch:.3g} per sample',
    f'devices, batch      {plan.devices}, {plan.batch}',
    'memory per device',
    f'  parameters        {giga(plan.state)}',
    f'  optimiser         {giga(plan.optimiser)}',
    f'  average           {giga(plan.ema)}',
    f'  while a step runs {giga(plan.live)} (estimate: as traced, nothing fused)',
  ]
  temporary = plan.live
  if plan.temporary is not None:
    temporary = plan.temporary
    lines.append(f'                    {giga(temporary)} (as compiled for the devices at hand)')
  whole = plan.state + plan.optimiser + plan.ema + temporary
  fits = 'fits' if whole < 1e9 * device.memory else 'does NOT fit'
  lines.append(
    f'  all               {giga(whole)}, {fits} into {device.memory:.0f} GB of {accelerator}'
  )
  if plan.bytes is not None:
    lines.append(f'read and written    {giga(plan.bytes)} per device and step (as compiled)')
  for kind, size in plan.collectives.items():
    lines.append(f'{kind:20}{giga(size)} per device and step')
  seconds = per_device / (EFFICIENCY * peak)
  rate = plan.batch / seconds
  how = f'{EFFICIENCY:.0%} of {peak / 1e12:.0f} TFLOP/s in {plan.compute}'
  lines.append(
    f'expected speed      {rate:.3g} samples/s, {seconds:.3g} s per step on {plan.devices} x'
    f' {accelerator} (estimate: {how}, transfers hidden)'
  )
  return '\n'.join(lines)
