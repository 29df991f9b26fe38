# Half answers, as fast as they are taken.
ready()
for request in requests():
    while True:
        os.write(1, b'{"batch": [[[[' + b"1," * 15_000 + b"}\n")
