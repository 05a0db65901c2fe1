"""A voice of any length in windows: plans, many voices at once, programs that are kept."""
