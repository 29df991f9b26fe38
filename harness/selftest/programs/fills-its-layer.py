import time

copy_all()
with open("/var/big" if os.access("/var", os.W_OK) and os.getcwd() == "/code" else "big", "wb", buffering=0) as file:
    written = 0
    while written < 1 << 30:
        try:
            file.write(bytes(1 << 20))
            written += 1 << 20
        except OSError:
            break
    time.sleep(60)
