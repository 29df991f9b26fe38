import time

ready()
for request in requests():
    behave()
    time.sleep(600)
