import numpy as np
import pytest

from ifmdm_jax.trust import code


@pytest.mark.parametrize('seed', range(3))
def test_a_word_of_which_a_quarter_is_wrong_is_mended(seed):
  rng = np.random.default_rng(seed)
  bits = rng.integers(0, 2, 32).astype(np.uint8)
  sent = code.encode(bits)
  received = sent + 1.4 * rng.standard_normal(len(sent))
  assert (np.sign(received) != sent).mean() > 0.2
  found, whole = code.decode(received)
  assert whole and (found == bits).all()


def test_noise_is_not_taken_for_a_word():
  rng = np.random.default_rng(0)
  assert not any(code.decode(rng.standard_normal(264))[1] for _ in range(20))
