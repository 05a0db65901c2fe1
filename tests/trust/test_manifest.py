"""Manifests are what others read: checked by C2PA's own reader, with a list of trust."""

import json
import os
import stat

import av
import c2pa
import numpy as np
import pytest

from ifmdm_jax import video
from ifmdm_jax.errors import InputError
from ifmdm_jax.trust import certificate, fingerprint, label, manifest, origin, report
from ifmdm_jax.trust.origin import EDITED, Input, Origin
from tests.trust import videos

SPEECH = videos.PORTRAIT.with_name('speech.wav')
SAYS = Origin(
  number=0x1234ABC, inputs=(Input('portrait', str(videos.PORTRAIT)), Input('voice', str(SPEECH)))
)


@pytest.fixture(scope='module')
def signed(tmp_path_factory):
  path = tmp_path_factory.mktemp('private_name') / 'a.mp4'
  video.write(path, videos.talk(10, 128), provenance=SAYS)
  return path


def independent(path, anchors):
  """What C2PA's reader says: (state, manifest, codes)."""
  settings = {'verify': {'verify_trust': True}, 'trust': {'user_anchors': anchors}}
  with (
    c2pa.Context.from_dict(settings) as context,
    open(path, 'rb') as file,
    c2pa.Reader('video/mp4', file, context=context) as reader,
  ):
    store = json.loads(reader.json())
    codes = [each['code'] for each in store.get('validation_status') or ()]
    return reader.get_validation_state(), store['manifests'][store['active_manifest']], codes


def data(found, label):
  return [each['data'] for each in found['assertions'] if each['label'].startswith(label)]


def test_an_independent_reader_trusts_it_by_its_list(signed):
  state, found, codes = independent(signed, certificate.local().chain.decode())
  assert state == 'Trusted' and not codes
  assert found['claim_generator_info'][0]['name'] == 'ifmdm_jax'
  created, watermarked = data(found, 'c2pa.actions')[0]['actions']
  assert created['action'] == 'c2pa.created' and created['digitalSourceType'] == origin.TRAINED
  assert created['softwareAgent']['version'] and watermarked['action'].startswith(
    'c2pa.watermarked'
  )
  assert data(found, 'c2pa.soft-binding')[0]['blocks'][0]['value'] == '1234abc'
  assert [each['title'] for each in found['ingredients']] == ['portrait', 'voice']
  assert [len(each['sha256']) for each in data(found, manifest.INPUTS)[0]['inputs']] == [64, 64]


def test_who_does_not_know_the_certificate_sees_that_nothing_was_changed(signed):
  state, _, codes = independent(signed, certificate.made().chain.decode())
  assert state == 'Valid' and codes == ['signingCredential.untrusted']


@pytest.mark.parametrize('part', [b'trainedAlgorithmicMedia', b'mdat', b'synthetic=yes'])
def test_one_changed_letter_is_found(signed, tmp_path, part):
  changed = bytearray(signed.read_bytes())
  changed[changed.index(part) + len(part) + 9 * (part == b'mdat') - 1] ^= 1
  (tmp_path / 'b.mp4').write_bytes(changed)
  assert independent(tmp_path / 'b.mp4', certificate.local().chain.decode())[0] == 'Invalid'


def test_it_names_no_user_and_no_path(signed):
  whole = signed.read_bytes()
  for word in (b'private_name', bytes(videos.PORTRAIT.parent), b'portrait.jpg', b'a.mp4'):
    assert word not in whole
  assert os.environ.get('USER', '').encode() in (b'', b'root') or (
    os.environ['USER'].encode() not in certificate.local().chain
  )


def test_a_film_with_new_lips_says_that_it_was_edited_and_keeps_what_it_said(signed, tmp_path):
  says = Origin(action=EDITED, inputs=(Input('film', str(signed)), Input('voice', str(SPEECH))))
  video.write(tmp_path / 'b.mp4', videos.talk(5, 128), provenance=says)
  state, found, _ = independent(tmp_path / 'b.mp4', certificate.local().chain.decode())
  assert state == 'Trusted'
  edited = [
    each for each in data(found, 'c2pa.actions')[0]['actions'] if 'edited' in each['action']
  ]
  assert edited[0]['digitalSourceType'] == origin.COMPOSITE
  parent, voice = found['ingredients']
  assert parent['relationship'] == 'parentOf' and parent['active_manifest']
  assert voice['relationship'] == 'inputTo'


def test_real_pixels_are_not_called_synthetic():
  assert Origin(real_pixels=True).source == origin.COMPOSITE
  assert Origin().source == origin.TRAINED


def test_the_tag_of_the_chinese_standard_is_there(signed):
  with av.open(str(signed)) as container:
    fields = json.loads(container.metadata['AIGC'])
  assert fields['Label'] == '1' and fields['ProduceID'] == '1234abc'
  assert set(fields) == {'Label', 'ContentProducer', 'ProduceID', 'ReservedCode1',
                         'ContentPropagator', 'PropagateID', 'ReservedCode2'}  # fmt: skip


def test_a_browser_still_plays_it_at_once(signed):
  whole = signed.read_bytes()
  assert whole.index(b'moov') < whole.index(b'mdat')
  assert sorted(path.name for path in signed.parent.iterdir()) == ['a.mp4']


def test_a_certificate_is_made_once_and_for_this_user_alone(tmp_path, monkeypatch):
  for name in ('XDG_CONFIG_HOME', 'APPDATA', 'HOME'):
    monkeypatch.setenv(name, str(tmp_path))
  assert certificate.known() is None
  first = certificate.local()
  assert certificate.local() == first and certificate.known() == first.chain
  path = certificate.folder() / certificate.FILE
  assert os.name == 'nt' or stat.S_IMODE(path.stat().st_mode) == 0o600


def test_where_nothing_can_be_kept_a_certificate_serves_once(tmp_path, monkeypatch, capsys):
  (tmp_path / 'file').write_text('')
  for name in ('XDG_CONFIG_HOME', 'APPDATA', 'HOME'):
    monkeypatch.setenv(name, str(tmp_path / 'file'))
  video.write(tmp_path / 'a.mp4', videos.talk(5, 128))
  assert manifest.read(tmp_path / 'a.mp4')['state'] == 'Valid'
  assert 'for this run alone' in capsys.readouterr().err


def test_an_own_certificate_signs(tmp_path):
  own = certificate.made()
  (tmp_path / 'c.pem').write_bytes(own.chain)
  (tmp_path / 'k.pem').write_bytes(own.key)
  options = origin.chosen(True, [str(tmp_path / 'c.pem'), str(tmp_path / 'k.pem')], None, '')
  video.write(tmp_path / 'a.mp4', videos.talk(5, 128), provenance=options.origin())
  assert independent(tmp_path / 'a.mp4', own.chain.decode())[0] == 'Trusted'


def test_a_spoken_notice_lies_over_the_start_and_the_voice_is_softer_meanwhile(tmp_path):
  voice, notice = np.full(32_000, 0.4, np.float32), np.full(8_000, 0.2, np.float32)
  blocks = iter(np.split(voice[:, None], [100, 12_000]))
  whole = np.concatenate(list(label.spoken_over(blocks, 16_000, (notice, 16_000))))[:, 0]
  np.testing.assert_allclose(whole[:8_000], 0.2 + label.QUIET * 0.4, atol=1e-6)
  np.testing.assert_array_equal(whole[8_000:], voice[8_000:])
  alone = np.concatenate(list(label.spoken_over(None, 8_000, (notice, 16_000))))
  assert abs(len(alone) - 4_000) <= 1
  says = Origin(spoken=(notice, 16_000))
  video.write(tmp_path / 'a.mp4', videos.talk(5, 128), provenance=says)
  assert len(video.read.audio(tmp_path / 'a.mp4')) >= 8_000


SIGNATURE = """<VideoFrame><MediaTimeOfFrame>0</MediaTimeOfFrame>
<FrameSignature>%s</FrameSignature></VideoFrame>"""


def test_signatures_of_frames_are_read_and_what_is_none_is_not():
  whole = [k % 3 for k in range(fingerprint.ELEMENTS)]
  text = ''.join(SIGNATURE % '  '.join(map(str, each)) for each in (whole, whole[:5], whole[::-1]))
  assert fingerprint.signatures(text) == [tuple(whole), tuple(whole[::-1])]
  assert fingerprint.signatures('nothing') == []


def test_a_fingerprint_is_a_soft_binding_beside_the_mark():
  found = manifest.statement(SAYS, 'ISCC:EMA2HQUCL7ICSUMC')['assertions']
  bound = {each['data']['alg']: each['data']['blocks'][0]['value'] for each in found
           if each['label'] == 'c2pa.soft-binding'}  # fmt: skip
  assert bound == {manifest.MARK: '1234abc', 'io.iscc.v0': 'ISCC:EMA2HQUCL7ICSUMC'}


@pytest.mark.skipif(not fingerprint.available(), reason="needs the extra 'fingerprint'")
def test_a_fingerprint_is_alike_after_encoding_and_another_of_another_video(tmp_path):
  video.write(tmp_path / 'a.mp4', videos.talk(50, 256))
  noise = np.random.default_rng(0).integers(0, 255, (50, 8, 8, 3), np.uint8)
  video.write(tmp_path / 'c.mp4', noise.repeat(32, 1).repeat(32, 2))
  videos.again(tmp_path / 'a.mp4', tmp_path / 'b.mp4', crf=28, scale=0.75)
  first, again, other = (fingerprint.compute(tmp_path / f'{name}.mp4') for name in 'abc')
  assert fingerprint.distance(first, again) <= report.ALIKE < fingerprint.distance(first, other)
  layer = report.examine(tmp_path / 'a.mp4')['layers']['iscc']
  assert layer == dict(state=report.PRESENT, signed=first, differs_by_bits=0)


def test_wrong_certificates_are_one_line(tmp_path):
  own, other = certificate.made(), certificate.made()
  (tmp_path / 'c.pem').write_bytes(own.chain)
  (tmp_path / 'k.pem').write_bytes(other.key)
  (tmp_path / 'x.pem').write_text('nothing')
  for key, said in (('k', 'belongs to another'), ('x', 'both PEM'), ('missing', 'private key')):
    with pytest.raises(InputError, match=said):
      certificate.read(tmp_path / 'c.pem', tmp_path / f'{key}.pem')
  with pytest.raises(InputError, match='name two files'):
    origin.chosen(True, ['one.pem'], None, '')
  with pytest.raises(InputError, match='without --no_provenance'):
    origin.chosen(False, None, None, 'AI')


def test_a_film_is_written_where_it_cannot_be_signed(tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(manifest, 'available', lambda: False)
  video.write(tmp_path / 'a.mp4', videos.talk(5, 128))
  assert 'no signed manifest' in capsys.readouterr().err
  monkeypatch.undo()
  assert manifest.read(tmp_path / 'a.mp4') is None


def test_without_an_answer_of_the_time_authority_it_is_signed_unstamped(tmp_path, capsys):
  says = Origin(time_authority='http://127.0.0.1:9')  # where nobody answers
  video.write(tmp_path / 'a.mp4', videos.talk(5, 128), provenance=says)
  assert manifest.read(tmp_path / 'a.mp4')['state'] == 'Valid'
  assert 'no stamp of the time' in capsys.readouterr().err


def test_the_notice_is_seen_for_two_seconds_and_as_high_as_the_rule_asks(tmp_path):
  grey = np.full((60, 160, 256, 3), 90, np.uint8)
  video.write(tmp_path / 'a.mp4', grey, provenance=Origin(label='AI-generated', marked=False))
  frames = video.read.read_frames(tmp_path / 'a.mp4')[..., 1].astype(int)
  bright = frames > 180
  assert all(bright[k].any() for k in range(50)) and not bright[50:].any()
  rows = np.flatnonzero(bright[10].any(1))
  assert rows.max() - rows.min() + 1 >= 0.05 * 160
