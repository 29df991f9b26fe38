ready()
for request in requests():
    behave()
    while True:
        os.write(1, b"x" * 100_000)
