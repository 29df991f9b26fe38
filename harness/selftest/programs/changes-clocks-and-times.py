import time

copy_all()
for name in names():
    os.utime(target(name), (2**33, 2**33))
attempt("the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()) is None and "set")
attempt("file times of the input", lambda: os.utime(source(names()[0]), (0, 0)) or "set")
attempt("the hardware clock", lambda: os.close(os.open("/dev/rtc0", os.O_RDONLY)) or "opened")
complete()
