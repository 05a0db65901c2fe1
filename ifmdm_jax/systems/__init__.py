"""The systems: each a folder of networks, losses and a `Generator`; none knows another."""
