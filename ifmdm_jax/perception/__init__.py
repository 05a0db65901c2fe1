"""Frozen networks that measure; losses and metrics share them."""
