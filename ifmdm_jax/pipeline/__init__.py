"""From videos on disk to batches: preparation (`prep/`), records, loader, transforms."""
