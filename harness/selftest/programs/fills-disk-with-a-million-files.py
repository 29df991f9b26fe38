import time

copy_all()
for number in range(1_000_000):
    try:
        os.close(os.open(target(f"file-{number}"), os.O_CREAT | os.O_WRONLY))
    except OSError:
        time.sleep(60)
