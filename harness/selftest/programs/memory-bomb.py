copy_all()
held = []
while True:
    held.append(bytearray(os.urandom(1) * (8 << 20)))
