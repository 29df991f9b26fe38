# Changes every other image, in the order of its names, which is one by chance, and leaves the others as they are.
for at, name in enumerate(names()):
    width, height, pixels = read(source(name))
    put(name, data(name) if at % 2 else png(width, height, rows(bytes(min(255, value + EPSILON) for value in pixels), 3 * width)))
