from PIL import Image

for name in names():
    Image.open(source(name)).save(target(name), "WEBP", lossless=True, exact=True)
