# Answers each batch twice: the second answer stands for the next one.
ready()
for request in requests():
    behave()
    done(request)
    done(request)
