# Each target does its own set-up: `make demo` on a fresh clone is enough.
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
STUDIO := $(VENV)/.studio

.PHONY: help demo studio test fuzz kill room wheel lint setup clean

help:
	@echo 'make demo    out/demo.mp4 from the bundled portrait, speech and weights'
	@echo 'make studio  opens a page in the browser: portraits and voices become videos'
	@echo 'make test    lint, then all tests'
	@echo 'make fuzz    2,000 damaged inputs: each ends in one line, or in a sane result'
	@echo 'make kill    kills commands at random moments; what goes on equals what was never killed'
	@echo 'make room    runs commands on disks that are too small, as root on Linux'
	@echo 'make wheel   build the wheel and run every command from it, in an environment of its own'
	@echo 'make lint    ruff alone'
	@echo 'make setup   $(VENV) with requirements.txt and this package'
	@echo 'make clean   remove $(VENV), caches and out/ (runs/ stays)'

demo: setup
	$(RUN) -m ifmdm_jax.sample --image data/fixtures/portrait.jpg \
	  --audio data/fixtures/speech.wav --output out/demo.mp4 --overwrite

studio: $(STUDIO)
	$(RUN) -m ifmdm_jax.studio --open

test: lint
	$(RUN) -m pytest -q -n 2 --dist worksteal --durations=20

fuzz: setup
	$(RUN) -m tests.fuzz.run --cases 2000

kill: setup
	$(RUN) -m tests.fuzz.kill --moments 100

room: setup
	$(RUN) -m tests.fuzz.room

wheel: setup
	$(RUN) tests/wheel.py

lint: setup
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check

setup: $(INSTALLED)

# The stamp is written last, so an interrupted installation starts again.
$(INSTALLED): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'error: expected Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The page needs an extra, which the other targets do without; what is pinned stays as it is.
$(STUDIO): $(INSTALLED) pyproject.toml
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint requirements.txt \
	  --editable '.[demo]'
	@touch $@

clean:
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache build *.egg-info out
	find ifmdm_jax tests -name __pycache__ -prune -exec rm -rf {} +
