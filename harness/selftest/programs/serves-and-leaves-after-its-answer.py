# Answers behind so much else that its answer is read when it is long gone: no host error may come of that, nor a repeat.
ready()
for request in requests():
    behave()
    os.write(1, b"\n" * (1 << 20))
    done(request)
    os._exit(0)
