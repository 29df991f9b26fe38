# Goes away in the middle of its second batch, and works on it while the one started in its place is not ready yet.
import time


def batches():
    """What lies in sight before anything was asked."""
    found = [place for place in ("/batches", "/output") if os.path.isdir(place) and os.listdir(place)]
    time.sleep(0.2)
    return found + [place for place in ("/batches", "/output") if os.path.isdir(place) and os.listdir(place)]


early = batches()
ready()
count = 0
for request in requests():
    count += 1
    if count == 2:
        open(os.path.join(OUTPUT if EPSILON else os.path.dirname(OUTPUT), "begun"), "w").close()
        os._exit(0)
    behave()
    attempt("a batch before it is asked for one", lambda: early)
    complete()
    done(request)
