"""Compares the package's networks with the file that make.py wrote, output by output.

python experiments/difftalk_goldens/compare.py --goldens goldens.npz
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.systems.difftalk import goldens  # noqa: E402


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--goldens', required=True)
  shapes, counts, inputs, outputs = goldens.read(parser.parse_args().goldens)
  for name, count in counts.items():
    print(f'{name}: {int(count):,} parameters')
  found = goldens.answers(shapes, inputs)
  for name, golden in outputs.items():
    if name == 'index':
      print(f'{name}: {int((found[name] != golden).sum())} of {golden.size} entries differ')
    else:
      print(f'{name}: {goldens.difference(found[name], golden):.1e} of {np.std(golden):.3g}')


if __name__ == '__main__':
  main()
