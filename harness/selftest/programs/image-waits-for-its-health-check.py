import time

copy_all()
time.sleep(2.5)
attempt("a health check that ran", lambda: os.path.exists("/dev/shm/healthy"))
complete()
