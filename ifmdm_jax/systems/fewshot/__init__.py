"""Few-shot adversarial heads (arXiv 1905.08233): pictures of a person, landmarks -> a film."""
