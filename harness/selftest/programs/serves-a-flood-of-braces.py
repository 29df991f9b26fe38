# Lines that begin like answers, as fast as they are taken.
ready()
for request in requests():
    while True:
        os.write(1, b"{\n" * 32_768)
