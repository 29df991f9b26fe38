sizes = [(0, 8), (8, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x80000000, 1), (1, 0x7FFFFFFF), (1 << 20, 1 << 20)]
for number, name in enumerate(names()):
    width, height = sizes[number % len(sizes)]
    put(name, png(width, height, bytes(100)))
