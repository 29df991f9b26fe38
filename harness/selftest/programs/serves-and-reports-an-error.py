import json

ready()
for request in requests():
    print(json.dumps({"batch": request["batch"], "error": "\x1b[31m" + "e" * 30_000}), flush=True)
