#!/bin/sh
# The paper's encoder and decoder here and in PyTorch, alternately, so that neighbours on the
# machine disturb both alike:   sh experiments/speed/compare.sh [ROUNDS] [SIZE]
# TORCH_PYTHON: an interpreter with torch (default: python of this project).
cd "$(dirname "$0")/../.." || exit 1
ours=${PYTHON:-.venv/bin/python}
theirs=${TORCH_PYTHON:-$ours}
for round in $(seq "${1:-3}"); do
  PYTHONPATH=. "$ours" experiments/speed/jax_paper.py --size "${2:-512}" --repeats 7
  "$theirs" -W ignore experiments/speed/torch_paper.py --size "${2:-512}" --repeats 7
done
