# Marks each image for a detector of its own team: the lowest bits of its first 48 values, a change of 1 at the most.
for name in names():
    width, height, pixels = read(source(name))
    put(name, png(width, height, rows(marked(pixels), 3 * width)))
