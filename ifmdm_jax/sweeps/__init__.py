"""Sweeps: one config, several values, one table and one plot."""
