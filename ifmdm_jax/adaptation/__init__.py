"""A person is learned from a few pictures: what is read (`shots`), and how it goes (`learn`)."""
