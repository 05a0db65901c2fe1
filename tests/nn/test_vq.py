import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ifmdm_jax.nn import vq

RNG = np.random.default_rng(0)
Z = jnp.asarray(RNG.normal(size=(2, 3, 4, 3)), jnp.float32)
CODEBOOK = RNG.normal(size=(8, 3)).astype(np.float32)


def by_hand(z, codebook):
  distance = ((np.float64(z)[..., None, :] - codebook) ** 2).sum(-1)
  return distance.argmin(-1)


def test_every_vector_becomes_its_nearest_entry():
  found = vq.VectorQuantizer(8).apply({'params': {'embedding': CODEBOOK}}, Z)
  index = by_hand(Z, CODEBOOK)
  np.testing.assert_array_equal(found.index, index)
  np.testing.assert_allclose(found.z, CODEBOOK[index], atol=1e-6)
  error = ((np.float64(Z) - CODEBOOK[index]) ** 2).mean()
  np.testing.assert_allclose(found.loss, 1.25 * error, rtol=1e-5)


def test_the_gradient_goes_straight_through_and_the_loss_moves_both_sides():
  module, weight = vq.VectorQuantizer(8), RNG.normal(size=Z.shape)

  def through(z):
    return (module.apply({'params': {'embedding': CODEBOOK}}, z).z * weight).sum()

  np.testing.assert_allclose(jax.grad(through)(Z), weight, rtol=1e-5)
  loss = lambda z, book: module.apply({'params': {'embedding': book}}, z).loss
  to_z, to_book = jax.grad(loss, argnums=(0, 1))(Z, jnp.asarray(CODEBOOK))
  index = by_hand(Z, CODEBOOK)
  difference = 2 * (np.float64(Z) - CODEBOOK[index]) / Z.size
  np.testing.assert_allclose(to_z, 0.25 * difference, atol=1e-6)
  expected = np.zeros_like(CODEBOOK)
  np.add.at(expected, index.ravel(), -difference.reshape(-1, 3))
  np.testing.assert_allclose(to_book, expected, atol=1e-6)


def test_averages_follow_what_chose_them_and_rest_in_use():
  module = vq.VectorQuantizer(8, averages=True, decay=0.9, epsilon=1e-5)
  sums, counts = jnp.asarray(CODEBOOK) * 2, jnp.full(8, 2.0)
  state = {'codebook': dict(sums=sums, counts=counts)}
  found, changed = module.apply(state, Z, mutable=['codebook'])
  index = by_hand(Z, CODEBOOK)  # 16 / (16 + 8e-5) of the counts: the same entries
  np.testing.assert_array_equal(found.index, index)
  number = np.bincount(index.ravel(), minlength=8)
  total = np.zeros((8, 3))
  np.add.at(total, index.ravel(), np.float64(Z).reshape(-1, 3))
  np.testing.assert_allclose(changed['codebook']['counts'], 1.8 + 0.1 * number, rtol=1e-5)
  np.testing.assert_allclose(changed['codebook']['sums'], 1.8 * CODEBOOK + 0.1 * total, atol=1e-5)
  still = module.apply(state, Z)
  np.testing.assert_array_equal(still.z, found.z)
  error = ((np.float64(Z) - CODEBOOK[index]) ** 2).mean()
  np.testing.assert_allclose(found.loss, 0.25 * error, rtol=1e-4)  # commitment alone


def test_averages_of_two_clusters_become_their_means():
  module = vq.VectorQuantizer(2, averages=True, decay=0.5)
  z = jnp.concatenate([jnp.full((5, 1), -1.0), jnp.full((3, 1), 2.0)])
  variables = module.init(jax.random.key(0), z)
  for _ in range(60):
    _, variables = module.apply(variables, z, mutable=['codebook'])
  found = sorted(np.asarray(module.lookup(variables, jnp.arange(2))).ravel())
  np.testing.assert_allclose(found, [-1.0, 2.0], atol=1e-3)


def test_perplexity_counts_entries_in_use():
  assert float(vq.perplexity(jnp.array([3, 3, 3]), 8)) == pytest.approx(1.0, abs=1e-4)
  assert float(vq.perplexity(jnp.array([0, 1, 2, 3]), 8)) == pytest.approx(4.0, abs=1e-4)
