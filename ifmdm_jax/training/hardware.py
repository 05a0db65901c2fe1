"""What accelerators can do, by makers' data sheets; for MFU and estimates, never for results."""

from typing import NamedTuple


class Device(NamedTuple):
  """Per device: dense bfloat16 TFLOP/s, memory GB/s, memory GB, link to its neighbours GB/s.

  The link is all that leaves the device in one direction: NVLink within a host of eight (NIC: one
  400 Gbit/s card per device between hosts), ICI on a TPU.
  """

  tflops: float
  memory_rate: float
  memory: float
  link: float
  nic: float


DEVICES = {  # pattern in jax.Device.device_kind: ...
  'A100': Device(312, 2039, 80, 300, 25),
  'H100': Device(989, 3350, 80, 450, 50),
  'H200': Device(989, 4800, 141, 450, 50),
  'TPU v4': Device(275, 1228, 32, 300, 300),
  'TPU v5 lite': Device(197, 819, 16, 200, 200),
  'TPU v5': Device(459, 2765, 95, 600, 600),
  'TPU v6 lite': Device(918, 1640, 32, 448, 448),
}


def of(kind):
  """Finds the Device of a jax device_kind such as 'NVIDIA H100 80GB HBM3', or None."""
  return next((device for name, device in DEVICES.items() if name in kind), None)


def flops(compiled, pieces=1):
  """Counts FLOPs per device and step of a compiled update, or 0.0 where XLA does not tell.

  XLA counts the body of a loop once, so parts of a batch that follow each other are multiplied.
  """
  cost = compiled.cost_analysis() or {}
  return max(cost.get('flops', 0.0), 0.0) * pieces
