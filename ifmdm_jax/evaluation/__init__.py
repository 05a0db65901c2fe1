"""What a talking head is measured by: one file per family of metrics."""
