from PIL import Image

for name in names():
    with Image.open(source(name)) as image:
        Image.new("RGB", image.size, "white").save(target(name), "JPEG", quality=100)
