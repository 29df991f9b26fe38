"""The few lines of PNG that the test entries need: the harness's own files are stored, 8 bit, RGB, filter 0.

Standard library only, so that an entry runs in milliseconds.
"""

import contextlib
import os
import struct
import zlib

TALLY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tally.txt")


def count() -> None:
    """Tell the test that the program was started (where it asked for it; a container has no such place)."""
    with contextlib.suppress(OSError):
        with open(TALLY) as file:
            where = file.read().strip()
        with open(where, "a") as file:
            file.write("started\n")


def read(path):
    """Width, height and the rows' bytes of an image."""
    with open(path, "rb") as file:
        data = file.read()
    width, height = struct.unpack(">II", data[16:24])
    packed, at = b"", 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(packed)
    line = 1 + 3 * width
    assert all(raw[row * line] == 0 for row in range(height))
    return width, height, b"".join(raw[row * line + 1 : (row + 1) * line] for row in range(height))


def write(path, width, height, pixels) -> None:
    """An image from its rows' bytes."""
    raw = b"".join(b"\0" + pixels[row * 3 * width : (row + 1) * 3 * width] for row in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw, 1)) + chunk(b"IEND", b""))


def moved(pixels, by):
    """Every value plus ``by(position, value)``, kept in 0..255."""
    return bytes(max(0, min(255, value + by(position, value))) for position, value in enumerate(pixels))


def names(folder):
    """The images of a batch, sorted."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".png"))


def level(pixels):
    """The class whose grey level is nearest: class c is drawn at 12 + 25 c."""
    return max(0, min(9, round((sum(pixels) / len(pixels) - 12) / 25)))
