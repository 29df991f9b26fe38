ready()
for request in requests():
    behave()
    done({"batch": "0123456789abcdef"})
