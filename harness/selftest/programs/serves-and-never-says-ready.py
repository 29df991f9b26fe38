import time

print('{"ready": "true"}', '{"ready": 1}', "ready", '{"ready": true', sep="\n", flush=True)
time.sleep(600)
