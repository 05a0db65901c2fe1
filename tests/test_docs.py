"""Documents: what they name exists, and they stay as short as they were meant."""

import importlib
import pathlib
import re

import pytest

import ifmdm_jax
from tests import test_house

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / 'docs').glob('*.md'))
ALL = sorted(
  path
  for pattern in ('*.md', 'docs/*.md', 'data/**/*.md', 'experiments/**/*.md', 'ifmdm_jax/**/*.md')
  for path in ROOT.glob(pattern)
)
DIARIES = ('LOG.md', 'HISTORY.md', 'CHANGELOG.md')  # about versions of their day
SYMBOL = re.compile(r'`((?:ifmdm_jax|configs)(?:\.\w+)+):(\w+(?:\.\w+)*)`')
NAMED = [(page.name, *found) for page in PAGES for found in SYMBOL.findall(page.read_text())]


def name(path):
  return str(path.relative_to(ROOT)) if isinstance(path, pathlib.Path) else None


@pytest.mark.parametrize('page, module, symbol', NAMED, ids=':'.join)
def test_every_symbol_that_a_page_names_exists(page, module, symbol):
  if '.studio.' in module:
    pytest.importorskip('gradio', reason="the studio needs the extra: pip install -e '.[demo]'")
  found = importlib.import_module(module)
  for part in symbol.split('.'):
    found = getattr(found, part)


def test_documents_call_what_the_package_offers():
  named = {name for path in ALL for name in re.findall(r'\bifm\.(\w+)', path.read_text())}
  assert {'read_portrait', 'read_voice', 'load', 'video'} <= named
  assert all(hasattr(ifmdm_jax, name) for name in named)


def test_the_map_of_the_paper_has_both_stages():
  modules = {module for page, module, _ in NAMED if page == 'paper.md'}
  assert len(modules) > 20
  assert any('autoencoder' in module for module in modules)
  assert any('motion' in module for module in modules)


def test_the_table_of_imports_is_the_one_that_is_held():
  text = (ROOT / 'docs' / 'systems.md').read_text().split('## Who may import whom')[1]
  rows = re.findall(r'^\| ([\w, ]+) \| (.+) \|$', text.split('## ')[0], re.MULTILINE)[1:-1]
  written = {}
  for rooms, cell in rows:
    allowed = set()
    for word in re.split(r'; |, and ', cell)[0].split(', '):
      sets = re.fullmatch(r'\*(\w+)\*', word)
      allowed |= getattr(test_house, sets[1].upper()) if sets else {word} - {'–'}
    written |= dict.fromkeys(rooms.split(', '), allowed)
  free = {*test_house.GROUND, 'testing'}
  held = {k: v for k, v in test_house.MAY_IMPORT.items() if k not in free}
  assert written == held


@pytest.mark.parametrize('path', ALL, ids=name)
def test_links_between_documents_lead_somewhere(path):
  text = re.sub(r'```.*?```', '', path.read_text(), flags=re.DOTALL)
  for target in re.findall(r'\]\(([^)\s]+)\)', text):
    if not target.startswith(('http', '#')):
      assert (path.parent / target.split('#')[0]).exists(), target


@pytest.mark.parametrize('path', [p for p in ALL if p.name not in DIARIES], ids=name)
def test_commands_in_documents_have_the_flags_that_they_are_given(path):
  for block in re.findall(r'```\w*\n(.*?)```', path.read_text(), flags=re.DOTALL):
    for command in block.replace('\\\n', ' ').split('\n'):
      called = re.search(r'python -m (ifmdm_jax\.[\w.]+)|python (experiments/\S+\.py)', command)
      if not called:
        continue
      module, script = called.groups()
      source = ROOT / (f'{module.replace(".", "/")}.py' if module else script)
      assert source.exists(), f'{command}: there is no {source.name}'
      defined = set(re.findall(r"'(?:--)?(\w+)'", source.read_text())) | {'config', 'help'}
      words = command[called.end() :].split('#')[0].split(' -- ')[0]
      for flag in re.findall(r'--([a-z_]+)', words):
        assert {flag, flag.removeprefix('no')} & defined, f'{command}: no --{flag}'


@pytest.mark.parametrize('page', PAGES, ids=name)
def test_a_page_of_the_manual_is_short(page):
  assert len(page.read_text().split('\n')) <= 150


def test_the_front_page_is_short():
  assert 90 <= len((ROOT / 'README.md').read_text().rstrip('\n').split('\n')) <= 110


@pytest.mark.parametrize('path', sorted(ROOT.glob('experiments/*/README.md')), ids=name)
def test_an_experiment_answers_first(path):
  title, rest = path.read_text().split('\n', 1)
  assert title.startswith('# ') and title.endswith('?')
  assert rest.lstrip().startswith('**Answer.**')


OLD_WORDS = re.compile(
  r'\b(told|untold|heard|hears|dreams?|dreamt|settles?|settled|looks|octaves|taught|theirs|ours)\b',
  re.IGNORECASE,
)


@pytest.mark.parametrize('path', ALL, ids=name)
def test_documents_keep_to_the_words_of_the_glossary(path):
  text = re.sub(r'```.*?```|`[^`]*`', '', path.read_text(), flags=re.DOTALL)
  assert not OLD_WORDS.findall(text)
