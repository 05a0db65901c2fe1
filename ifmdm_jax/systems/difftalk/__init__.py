"""DiffTalk (arXiv 2301.03786): a film and a new voice -> the same film with new lips."""
