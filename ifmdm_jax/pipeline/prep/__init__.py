"""From a folder of films to what the records are made of, before anything is learnt.

layouts    which files there are: of which person, in which split, under which licence
process    one file to a folder of finished pieces: the function that every core runs
job        what films, ready clips and stills have in common while they are worked on
film       a raw film: everybody who talks, cut out, filtered, with the voice in sync
ready      a clip that is ready (square, one face), and a still: a clip of one frame
animated   a still that a generator animates: a clip of one more person
relimit    other limits for what is animated already
sound      the voice of a file at 16 kHz, on disk
squares    the square that is cut out of every frame, and where landmarks are in it
lag        by how many frames a voice is late
filters    what a track must be to teach
workers    files shared out among processes; on_beam: among machines
results    the settings, and the folder that is left of a file
report     what became of every file
"""
