copy_all()
while True:
    os.write(2, b"\x1b[31m\x1b]0;owned\x07\x1b[2J\x9b31m\x00\x08\x1b[6n bell \r\n" * 1000)
