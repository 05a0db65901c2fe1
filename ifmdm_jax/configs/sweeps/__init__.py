"""Questions about what is trained: each a config and the changes to it that are runs."""
