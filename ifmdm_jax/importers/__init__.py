"""Foreign checkpoints to our parameters and back: one engine, one table for each foreign model.

engine.py              reads every table, in both directions
kinds.py               every kind of weights: its table, where the files come from, their licence
files.py, torch_file.py   safetensors, npz, Hugging Face folders; PyTorch's files without PyTorch
check.py               do our networks give the published numbers?
"""
