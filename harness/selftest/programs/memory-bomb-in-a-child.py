copy_all()
if os.fork() == 0:
    held = []
    while True:
        held.append(bytearray(b"x" * (8 << 20)))
os.wait()
