import signal
import time

copy_all()
child = os.fork()
if child == 0:
    # PID 1 cannot be stopped from inside; its child can, and stops it by waiting.
    os.kill(os.getpid(), signal.SIGSTOP)
    os._exit(0)
os.kill(os.getpid(), signal.SIGSTOP)
os.waitpid(child, 0)
while True:
    time.sleep(60)
