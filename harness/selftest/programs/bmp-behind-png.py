for name in names():
    width, height, pixels = pixels_of(name)
    body = b""
    for y in reversed(range(height)):
        line = b"".join(pixel[::-1] for pixel in pixels[y * width : (y + 1) * width])
        body += line + bytes(-len(line) % 4)
    head = struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    put(name, head + body)
