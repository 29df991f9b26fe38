# Answers, and spoils what it has answered as soon as it runs again: it was frozen at its answer, and now it meets an empty place.


def spoil(path):
    for place in (path, os.path.join(os.path.dirname(os.path.dirname(path)), "result.csv")):
        try:
            with open(place, "w") as file:
                file.write("spoiled\n")
        except OSError:
            pass


ready()
answered = []
for request in requests():
    for path in answered:
        spoil(path)
    behave()
    answered.append(request["output"])
    done(request)
