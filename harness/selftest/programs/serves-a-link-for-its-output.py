# Puts a link in the place of the directory that it was given.
ready()
for request in requests():
    folder = request["output"] if request["epsilon"] else os.path.dirname(request["output"])
    os.rmdir(folder)
    os.symlink(request["input"] if request["epsilon"] else os.path.dirname(planted("labels")), folder)
    done(request)
