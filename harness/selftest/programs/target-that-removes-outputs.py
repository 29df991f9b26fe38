import os


def load(output):
    for name in os.listdir(output):
        os.unlink(os.path.join(output, name))
