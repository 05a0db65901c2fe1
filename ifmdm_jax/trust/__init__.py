"""What a video says about its origin, and how to check it: mark, manifest, tags, labels."""
