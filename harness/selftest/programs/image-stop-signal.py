import signal
import time

copy_all()
signal.signal(signal.SIGWINCH, lambda *_: None)
time.sleep(600)
