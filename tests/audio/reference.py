"""What transformers makes of small speech encoders with weights drawn from their names.

  python -m tests.audio.reference       # needs torch and transformers; rewrites fixtures/

The fixtures hold config.json, the names and shapes of the weights, and every hidden state at some
steps, so that the tests need neither package; where both are installed they compare with them anew.
"""

import json
import pathlib

import numpy as np

from tests.importers import foreign

FIXTURES = pathlib.Path(__file__).parent / 'fixtures'
SMALL = dict(
  hidden_size=24,
  num_hidden_layers=3,
  num_attention_heads=3,
  intermediate_size=40,
  conv_dim=[12] * 7,
  num_conv_pos_embedding_groups=4,
)
LARGE = dict(feat_extract_norm='layer', do_stable_layer_norm=True)
VARIANTS = {  # file: class of transformers, what differs from the base model
  'wav2vec2': ('Wav2Vec2', {}),
  'wav2vec2_large': ('Wav2Vec2', {**LARGE, 'conv_bias': True}),
  'hubert': ('Hubert', {'feat_proj_layer_norm': False, 'num_conv_pos_embeddings': 127}),
  'hubert_large': ('Hubert', {**LARGE, 'conv_bias': True}),
  'wavlm': ('WavLM', {}),
  'wavlm_large': ('WavLM', LARGE),
}
STEPS = slice(None, None, 17)
SECONDS = 4  # 199 steps: beyond the distances that have a bucket of their own


def kind(variant):
  return variant.removesuffix('_large')


def sound(seconds=SECONDS):
  return np.random.default_rng(1).standard_normal((1, seconds * 16_000)).astype(np.float32)


def fixture(variant):
  """config.json, a state dict, hidden states [layers + 1, steps, D] at STEPS, the last normed."""
  with np.load(FIXTURES / f'{variant}.npz') as file:
    config, shapes = (json.loads(str(file[name])) for name in ('config', 'shapes'))
    return config, foreign.draw(shapes), file['hidden']


def run(variant):
  """The same from transformers: (config, shapes, hidden states at every step)."""
  import torch
  import transformers

  name, changes = VARIANTS[variant]
  config = getattr(transformers, f'{name}Config')(**SMALL, **changes)
  model = getattr(transformers, f'{name}Model')(config).eval()
  shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
  state = {key: torch.from_numpy(value) for key, value in foreign.draw(shapes).items()}
  model.load_state_dict(state, strict=True)
  with torch.no_grad():
    out = model(torch.from_numpy(sound()), output_hidden_states=True)
  hidden = torch.stack([*out.hidden_states[:-1], out.last_hidden_state])
  return json.loads(config.to_json_string()), shapes, hidden[:, 0].numpy()


def main():
  import torch
  import transformers

  FIXTURES.mkdir(exist_ok=True)
  for variant in VARIANTS:
    config, shapes, hidden = run(variant)
    np.savez_compressed(
      FIXTURES / f'{variant}.npz',
      config=json.dumps(config),
      shapes=json.dumps(shapes),
      hidden=hidden[:, STEPS],
    )
  attention = transformers.models.wavlm.modeling_wavlm.WavLMAttention(8, 2)
  offsets = torch.arange(-1500, 1501)
  buckets = attention._relative_positions_bucket(offsets).numpy().astype(np.int16)
  np.savez_compressed(FIXTURES / 'wavlm_buckets.npz', offsets=offsets.numpy(), buckets=buckets)


if __name__ == '__main__':
  main()
