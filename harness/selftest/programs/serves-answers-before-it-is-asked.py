import time

sys.stdout.write('{"ready": true}\n{"batch": "0000000000000000", "done": true}\n')
sys.stdout.flush()
for request in requests():
    time.sleep(60)
