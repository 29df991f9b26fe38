ready()
for request in requests():
    behave()
    done(request)
