"""The studio: a page in a browser that makes talking videos and dubs films.

Gradio asks nobody and tells nobody: its settings are read when it is imported, so they stand here.
"""

import os

os.environ.update(
  GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1', HF_HUB_OFFLINE='1',
  GRADIO_RUN_HISTORY='False',
)  # fmt: skip
