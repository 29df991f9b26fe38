for name in names():
    width, height, pixels = pixels_of(name)
    colours = sorted(set(pixels))
    place = {colour: index for index, colour in enumerate(colours)}
    body = bytes(place[pixel] for pixel in pixels)
    put(name, png(width, height, rows(body, width), colour=3, before=chunk(b"PLTE", b"".join(colours)) + chunk(b"tRNS", bytes(len(colours)))))
