# Looks for other batches in its input and output: only the current one may lie there.
ready()
for request in requests():
    behave()
    attempt("another batch beside the input", lambda: len(os.listdir(os.path.dirname(request["input"]))) != 1)
    folder = request["output"] if request["epsilon"] else os.path.dirname(request["output"])
    attempt("another batch beside the output", lambda: len(os.listdir(os.path.dirname(folder))) != 1)
    attempt("a run's number in " + folder, lambda: __import__("re").search(r"run-\d+(-\d+)?(/|$)", folder))
    complete()
    done(request)
