# What an honest defense shows to who may read it: nothing that does anything.
def load(output=None):
    return None
