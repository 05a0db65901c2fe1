"""Stage 2: a diffusion transformer that turns speech features into motion codes."""
