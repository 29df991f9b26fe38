# The default image is right, and the frames of the animation are black.
for name in names():
    width, height, pixels = read(source(name))
    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 100, 0, 0)
    black = zlib.compress(rows(bytes(len(pixels)), 3 * width))
    put(name, png(width, height, rows(pixels, 3 * width), before=chunk(b"acTL", struct.pack(">II", 1, 0)),
                  after=chunk(b"fcTL", control) + chunk(b"fdAT", struct.pack(">I", 1) + black)))
