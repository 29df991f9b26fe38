# One score for all of a batch: were one half the attacked one, or larger than the other, it would show.
folder = os.stat(INPUT)
score(lambda name: 1000 * len(names()) + folder.st_size + folder.st_nlink)
