import time

copy_all()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        parent = os.getppid()
        first = True
        while True:
            # The main program has ended: now spoil what it left.
            if not first and os.getppid() != parent:
                for name in names():
                    put(name, b"spoiled")
            first = False
            time.sleep(0.001)
    time.sleep(0.3)
    os._exit(0)
time.sleep(0.1)
