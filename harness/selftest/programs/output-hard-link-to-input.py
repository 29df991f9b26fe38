def hard_link(name):
    os.link(source(name), target(name))
    return "made"


attempt("a hard link to the input", lambda: hard_link(names()[0]))
complete()
