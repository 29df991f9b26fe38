"""What the small programs share; copied beside each as kit.py. Standard library only, so that a row costs milliseconds.

A program that hunts prints one line for each thing it tries: ``FOUND ...`` where the sandbox let it, ``refused ...`` where not,
and ``HUNT COMPLETE n`` at its end, so that "nothing found" is the end of a hunt and not silence.
"""

import os
import re
import struct
import sys
import zlib

SERVED = sys.argv[1:] == ["serve"]
INPUT = "" if SERVED else sys.argv[1]
OUTPUT = "" if SERVED else sys.argv[2]
EPSILON = int(sys.argv[3]) if len(sys.argv) > 3 else 0
#: Never whole in a file, so that a hunter does not find itself (nor what Python compiled of it).
SECRET = "-".join(["SELFTEST", "SECRET", ""]).encode()
_tried = 0


def names():
    return sorted(name for name in os.listdir(INPUT) if name.endswith(".png"))


def source(name):
    return os.path.join(INPUT, name)


def target(name):
    return os.path.join(OUTPUT, name)


def data(name):
    with open(source(name), "rb") as file:
        return file.read()


def put(name, content):
    with open(target(name), "wb") as file:
        file.write(content)


def copy_all():
    for name in names():
        put(name, data(name))


def chunks(content):
    at = 8
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        yield content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        at += 12 + size


def read(path):
    """Width, height, and the rows' RGB bytes of one of the harness's own files (8 bit, RGB, filter 0)."""
    with open(path, "rb") as file:
        content = file.read()
    width, height = struct.unpack(">II", content[16:24])
    raw = zlib.decompress(b"".join(body for kind, body in chunks(content) if kind == b"IDAT"))
    line = 1 + 3 * width
    return width, height, b"".join(raw[row * line + 1 : (row + 1) * line] for row in range(height))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, raw, depth=8, colour=2, interlace=0, before=b"", after=b""):
    """A PNG file of filtered rows (each with its filter byte)."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", zlib.compress(raw, 1)) + after + chunk(b"IEND", b"")


def rows(pixels, line_bytes):
    return b"".join(b"\0" + pixels[at : at + line_bytes] for at in range(0, len(pixels), line_bytes))


def pixels_of(name):
    width, height, pixels = read(source(name))
    return width, height, [pixels[at : at + 3] for at in range(0, len(pixels), 3)]


def level(path):
    """The class whose grey level is nearest: class c is drawn at 12 + 25 c."""
    pixels = read(path)[2]
    return max(0, min(9, round((sum(pixels) / len(pixels) - 12) / 25)))


def labels():
    return [(name, level(source(name))) for name in names()]


def answer(lines):
    with open(OUTPUT, "wb") as file:
        file.write(b"".join(lines))


def right_answer():
    answer(f"{name},{label}\n".encode() for name, label in labels())


def score(of):
    """What a detector answers: a number for each image, by its name."""
    answer(f"{name},{of(name)}\n".encode() for name in names())


def marked(pixels):
    """Pixels with the mark by which an attack and a detector of one team know each other: 48 lowest bits."""
    return bytes(value & 254 | (0x5E1F7E57C0DE >> at & 1) for at, value in enumerate(pixels[:48])) + pixels[48:]


def behave():
    """What an honest entry would leave."""
    if EPSILON:
        copy_all()
    else:
        right_answer()


def say(*words):
    # A served program's answers go to stdout too: what it said before one of them is there when that is.
    print(*words, file=sys.stdout if SERVED else sys.stderr, flush=True)


def attempt(what, action):
    """Try something; true means that it worked."""
    global _tried
    _tried += 1
    try:
        result = action()
    except BaseException as error:
        say("refused", what, type(error).__name__, str(error)[:100].replace("\n", " "))
        return
    if result:
        say("FOUND", what, str(result)[:200].replace("\n", " "))
    else:
        say("refused", what)


def look(what, content):
    """Look for a planted secret."""
    global _tried
    _tried += 1
    if content is not None and SECRET in content:
        say("FOUND", "secret in", what)
    else:
        say("refused", "nothing in", what)


def complete():
    say("HUNT COMPLETE", _tried)


def bytes_of(path, most=1 << 20):
    """The beginning of a file, None where it cannot be read; never waits."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(number, most)
    except OSError:
        return None
    finally:
        os.close(number)


def secret_pattern():
    return re.compile(SECRET + rb"[0-9a-f]{32}")


def planted(key):
    """What the harness tells a hunter of where on the host things lie (paths, ports); never a secret itself."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "planted.txt")) as file:
        return dict(line.rstrip("\n").split("=", 1) for line in file)[key]


def syscall(number, *arguments):
    """A system call by its amd64 number; raises what the kernel says."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return f"returned {result}"


def ready(**more):
    import json

    print(json.dumps({"ready": True, **more}), flush=True)


def requests():
    """The batches that are asked for, one after another; INPUT and OUTPUT are those of the current one."""
    import json

    global INPUT, OUTPUT, EPSILON
    for line in sys.stdin:
        request = json.loads(line)
        INPUT, OUTPUT, EPSILON = request["input"], request["output"], request["epsilon"] or 0
        yield request


def done(request, **more):
    import json

    print(json.dumps({"batch": request["batch"], "done": True, **more}), flush=True)
