"""Compares the package's few-shot networks with the file that make.py wrote, output by output.

python experiments/fewshot_goldens/compare.py --goldens goldens.npz
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.systems.fewshot import goldens  # noqa: E402


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--goldens', required=True)
  size, shapes, counts, outputs = goldens.read(parser.parse_args().goldens)
  for name, count in counts.items():
    print(f'{name}: {int(count):,} parameters')
  found = goldens.answers(size, shapes)
  for name, golden in outputs.items():
    print(f'{name}: {goldens.difference(found[name], golden):.1e} of {np.std(golden):.3g}')


if __name__ == '__main__':
  main()
