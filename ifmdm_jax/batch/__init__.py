"""Many videos by one command: a table of jobs, or portraits times voices, that survives a stop.

`jobs` reads the table, `maker` makes one job's video or keeps it, `run` shares jobs out among
processes, `on_beam` among machines, and `report` says what became of each.
"""
