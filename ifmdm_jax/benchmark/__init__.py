"""Times generators: parts beside a roofline, sound to file, live voices, starts."""
