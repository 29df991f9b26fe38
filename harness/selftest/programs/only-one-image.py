# One image (white, so that what is kept is known) under all names: each counts by itself, cut to its own clean image.
width, height, pixels = read(source(names()[0]))
for name in names():
    put(name, png(width, height, rows(b"\xff" * len(pixels), 3 * width)))
