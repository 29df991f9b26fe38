# defense-mean, once and served.
import json, struct


def pixels_of(path):
    data = open(path, "rb").read()
    return data[10 + struct.unpack("<H", data[8:10])[0]:]


def answer(folder, output):
    with open(output, "w") as file:
        for name in px.names(folder):
            file.write(f"{name},{px.level(px.read(os.path.join(folder, name))[2])}\n")


if sys.argv[1] != "serve":
    answer(sys.argv[1], sys.argv[2])
    sys.exit()
os.write(1, b'{"ready": true, "arrays": true}\n')
for line in sys.stdin:
    asked = json.loads(line)
    if "array" not in asked:
        answer(asked["input"], asked["output"])
        os.write(1, (json.dumps({"batch": asked["batch"], "done": True}) + "\n").encode())
        continue
    data = pixels_of(asked["array"])
    size = len(data) // len(asked["names"])
    with open(asked["output"], "w") as file:
        for at, name in enumerate(asked["names"]):
            file.write(f"{name},{px.level(data[at * size:(at + 1) * size])}\n")
    os.write(1, (json.dumps({"batch": asked["batch"], "done": True}) + "\n").encode())
