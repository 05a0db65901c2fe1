import av
import numpy as np
import pytest

from ifmdm_jax.video import provenance, write


def test_the_file_says_that_it_is_synthetic_and_how_it_was_made(tmp_path):
  tags = provenance.metadata(checkpoint='lite', seed=7)
  write(tmp_path / 'a.mp4', np.zeros((2, 64, 64, 3), np.uint8), metadata=tags)
  with av.open(str(tmp_path / 'a.mp4')) as container:
    assert container.metadata['comment'].startswith('Synthetic video')
    for fact in ('synthetic=yes', 'software=ifmdm_jax', 'checkpoint=lite', 'seed=7'):
      assert fact in container.metadata['description']


@pytest.mark.parametrize(
  'given', ['/home/ada/runs/motion', 'C:\\Users\\ada\\motion', 'runs/motion/']
)
def test_of_the_weights_the_name_is_told_and_not_where_they_lie(given):
  tags = provenance.metadata(checkpoint=given)
  assert all('checkpoint=motion' in tag and 'ada' not in tag for tag in tags.values())


def test_a_plain_write_is_marked_as_well(tmp_path):
  write(tmp_path / 'a.mp4', np.zeros((2, 64, 64, 3), np.uint8))
  with av.open(str(tmp_path / 'a.mp4')) as container:
    assert 'Synthetic video' in container.metadata['comment']
    assert 'seed' not in container.metadata['comment']
