# defense-mean, once and served.
import json, struct


def pixels_of(path):
    data = open(path, "rb").read()
    return data[10 + struct.unpack("<H", data[8:10])[0]:]


if sys.argv[1] != "serve":
    with open(sys.argv[2], "w") as file:
        for name in px.names(sys.argv[1]):
            file.write(f"{name},{px.level(px.read(os.path.join(sys.argv[1], name))[2])}\n")
    sys.exit()
os.write(1, b'{"ready": true, "arrays": true}\n')
for line in sys.stdin:
    asked = json.loads(line)
    data = pixels_of(asked["array"])
    size = len(data) // len(asked["names"])
    with open(asked["output"], "w") as file:
        for at, name in enumerate(asked["names"]):
            file.write(f"{name},{px.level(data[at * size:(at + 1) * size])}\n")
    os.write(1, (json.dumps({"batch": asked["batch"], "done": True}) + "\n").encode())
