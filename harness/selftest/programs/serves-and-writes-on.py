# Answers, and then spoils what it has answered: it is frozen by then, and what it does later meets an empty place.
import threading
import time


def spoil(path):
    time.sleep(1.5)
    for place in (path, os.path.join(os.path.dirname(os.path.dirname(path)), "result.csv")):
        try:
            with open(place, "w") as file:
                file.write("spoiled\n")
        except OSError:
            pass


ready()
for request in requests():
    behave()
    threading.Thread(target=spoil, args=[request["output"]], daemon=True).start()
    done(request)
