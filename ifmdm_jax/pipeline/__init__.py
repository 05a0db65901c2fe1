"""From videos on disk to batches. Records are the only data set, `Clip` is what is read of them.

prep/           one film, clip or still to finished pieces, on every core or machine
animate         the stills of a set to clips of another
voices          recordings in pieces, for stills
write           a folder of them to records with a report
schema          what a record holds
records         a set as a sequence of clips, read when asked for
frames          pictures of a clip in one file, any of them without its neighbours
landmarks       landmarks as they are stored
landmark_code   landmarks to twenty numbers and back
codes           motion codes of a set, with the speech features of the same frames
features        speech features of a set, without codes
lip_crops       lips and voices of a set, for the sync network
statistics      means and deviations of a window, and of a set
blur            backgrounds out of focus
sources/        what a loader draws from, a file a stage
loader          endless batches of a source
"""
