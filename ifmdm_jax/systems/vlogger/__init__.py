"""One photo and a voice, or a text -> a person who talks (VLOGGER, arXiv 2403.08764)."""
