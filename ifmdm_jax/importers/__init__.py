"""Foreign checkpoints to our parameters: one engine, one table for each foreign model."""
