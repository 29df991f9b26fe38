def median(path):
    pixels = sorted(read(path)[2])
    return max(0, min(9, round((pixels[len(pixels) // 2] - 12) / 25)))


answer(f"{name},{median(source(name))}\n".encode() for name in names())
