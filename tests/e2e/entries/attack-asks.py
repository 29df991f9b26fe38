# A query attack: each image 16, 12, 8 and 4 levels darker, in that order.
import json, struct


def say(**message):
    os.write(1, (json.dumps(message) + "\n").encode())


def pixels_of(path):
    data = open(path, "rb").read()
    return data[10 + struct.unpack("<H", data[8:10])[0]:]


def array(name, descr, shape, data):
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    with open(os.path.join(asked["output"], name), "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data)


say(ready=True, arrays=True)
for line in sys.stdin:
    asked = json.loads(line)
    token, data, count = asked["query"]["token"], pixels_of(asked["array"]), len(asked["names"])
    for step in (16, 12, 8, 4):
        array("queries.npy", "|u1", (count, 8, 8, 3), px.moved(data, lambda at, value: -step))
        array("index.npy", "<i8", (count,), struct.pack(f"<{count}q", *range(count)))
        say(query=token)
        reply = json.loads(sys.stdin.readline())
        token = reply["next"]
    say(batch=asked["batch"], done=True)
