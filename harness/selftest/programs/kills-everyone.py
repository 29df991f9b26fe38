import signal

copy_all()
# Only where "everyone" is this container: a host whose sandbox has a hole shall not die of its test.
try:
    if os.getpid() == 1:
        os.kill(-1, signal.SIGKILL)
except OSError:
    pass
