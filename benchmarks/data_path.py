"""What happens to a batch of images outside the programs, step by step, each beside the floor from the same run.

The images are smooth random textures with a little grain (299x299, as in 2017): they compress like photographs, not like noise.
The floor of a step is the plainest way to do at least that much: Pillow's codec at its fastest, or a copy of the same bytes.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import zstandard
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import load, machine, table, timed
from harness.execution.input_files import InputFiles, Layout
from harness.execution.outputs import OutputReader
from harness.formats import images

EPSILON = 16
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """Clean and adversarial pixels, uint8 [n, size, size, 3]."""

    clean: Pixels
    adversarial: Pixels
    produced: NDArray[np.bool_]


def make_batch(count: int, size: int) -> Batch:
    """Textures, and the same with sign noise (what FGSM leaves)."""
    generator = np.random.default_rng(299)
    coarse = generator.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    clean = np.stack([np.asarray(Image.fromarray(tile).resize((size, size), Image.Resampling.BICUBIC)) for tile in coarse])
    clean = (clean.astype(np.int16) + generator.integers(-3, 4, clean.shape)).clip(0, 255).astype(np.uint8)
    signs = generator.choice(np.array([-EPSILON, EPSILON], np.int16), clean.shape)
    return Batch(clean, (clean + signs).clip(0, 255).astype(np.uint8), np.ones(count, bool))


def pillow_encode(pixels: Pixels, level: int) -> bytes:
    """A PNG by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=level)
    return file.getvalue()


def pillow_decode(data: bytes) -> Pixels:
    """Pixels of a PNG by Pillow."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def pillow_read(directory: Path, names: Sequence[str]) -> list[Pixels]:
    """Files by Pillow, in this process."""
    return [pillow_decode((directory / name).read_bytes()) for name in names]


def opencv_levels() -> dict[str, Callable[[Pixels], object]]:
    """OpenCV's encoder at level 0 where the library is installed (it is no dependency of ours)."""
    try:
        import cv2
    except ImportError:
        return {}
    return {"OpenCV level 0": lambda p: cv2.imencode(".png", p, [cv2.IMWRITE_PNG_COMPRESSION, 0])}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=299)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"Data path, {options.images} images of {options.size}x{options.size}, seconds (best of {options.repeats}). "
          f"{machine()}.\n")
    batch = make_batch(options.images, options.size)
    with tempfile.TemporaryDirectory(prefix="data-path-") as directory:
        rows = codecs(batch, options.repeats) + arrays(batch, options.repeats) + files(batch, Path(directory), options.repeats)
    print(table(["step", "ours", "floor", "ratio", "floor is", "note"], rows))
    if not opencv_levels():
        print("\nOpenCV is not installed here: its encoder was not measured (0.25 s for level 0 in the project's own notes).")
    print(f"\nAt the end: {load()}.")


Row = list[object]


def row(step: str, ours: float, floor: float, floor_is: str, note: str = "") -> Row:
    """One line of the table."""
    return [step, ours, floor, f"{ours / floor:.2f}" if floor else "", floor_is, note]


def codecs(batch: Batch, repeats: int) -> list[Row]:
    """PNG in and out."""
    def all_images(encode: Callable[[Pixels], object]) -> float:
        return timed(lambda: [encode(pixels) for pixels in batch.adversarial], repeats)

    ours = all_images(images.encode_png)
    rows = [row("PNG encode", ours, all_images(partial(pillow_encode, level=level)), f"Pillow level {level}")
            for level in (0, 1, 6)]
    rows += [row("PNG encode", ours, all_images(encode), name) for name, encode in opencv_levels().items()]
    size = (batch.clean.shape[2], batch.clean.shape[1])
    for level in (0, 6):
        data = [pillow_encode(pixels, level) for pixels in batch.adversarial]

        def each(decode: Callable[[bytes], object], data: Sequence[bytes] = data) -> float:
            return timed(lambda: [decode(d) for d in data], repeats)

        rows.append(row(f"PNG decode, checked (level {level} file)", each(lambda d: images.decode(d, size)), each(pillow_decode),
                        "Pillow alone"))
    return rows


def arrays(batch: Batch, repeats: int) -> list[Row]:
    """Arrays in, arrays or bytes out."""
    clean, adversarial, produced = batch.clean, batch.adversarial, batch.produced
    copy = timed(adversarial.copy, repeats)
    encoded = images.encode_perturbation(clean, adversarial, produced)
    difference = (adversarial.astype(np.int16) - clean).astype(np.int8).tobytes()
    compressed = zstandard.ZstdCompressor(level=1).compress(difference)
    back, _ = images.decode_perturbation(encoded, clean)
    assert np.array_equal(back, adversarial)
    return [
        row("clip to epsilon", timed(lambda: images.enforce(clean, adversarial, EPSILON), repeats), copy, "a copy"),
        row("L-infinity distances", timed(lambda: images.linf(clean, adversarial), repeats), copy, "a copy"),
        row("perturbation encode", timed(lambda: images.encode_perturbation(clean, adversarial, produced), repeats),
            timed(lambda: zstandard.ZstdCompressor(level=1).compress(difference), repeats), "zstd level 1 alone",
            f"{len(encoded) / 1e6:.1f} MB, raw {adversarial.nbytes / 1e6:.1f} MB"),
        row("perturbation decode", timed(lambda: images.decode_perturbation(encoded, clean), repeats),
            timed(lambda: zstandard.ZstdDecompressor().decompress(compressed), repeats), "zstd alone"),
        row("pixel digest", timed(lambda: images.pixel_digest(adversarial, produced), repeats), copy, "a copy", "SHA-256"),
    ]


def files(batch: Batch, root: Path, repeats: int) -> list[Row]:
    """What programs get as files, and their outputs read and enforced."""
    count, numbers = len(batch.clean), iter(range(10**6))
    input_files = InputFiles(root / "cache")
    data = [images.encode_png(pixels) for pixels in batch.adversarial]

    def stage_files(key: str) -> None:
        directory = root / f"in-{next(numbers)}"
        directory.mkdir()
        input_files.stage_files(key, lambda: batch.adversarial, Layout.draw(np.ones(count, bool)), directory)

    def write_plain() -> None:
        directory = root / f"in-{next(numbers)}"
        directory.mkdir()
        for number, content in enumerate(data):
            (directory / str(number)).write_bytes(content)

    write = timed(write_plain, repeats)
    first = timed(lambda: stage_files(f"key-{next(numbers)}"), repeats)
    again = timed(lambda: stage_files("key-0"), repeats + 1)
    rows = [row("lay out a batch, first time on a node", first, write, "writing ready bytes"),
            row("the same batch for the next run (copies)", again, write, "writing ready bytes")]
    rows += read_back(batch, root, repeats)
    for path in root.glob("in-*"):
        shutil.rmtree(path)
    return rows


def read_back(batch: Batch, root: Path, repeats: int) -> list[Row]:
    """``OutputReader.read_attack``: walked, decoded in a worker process, checked and clipped."""
    reader, rows = OutputReader(), []
    names = [f"{number:04d}.png" for number in range(len(batch.clean))]
    try:
        for level in (0, 6):
            directory = root / f"out-{level}"
            directory.mkdir()
            for name, pixels in zip(names, batch.adversarial, strict=True):
                (directory / name).write_bytes(pillow_encode(pixels, level))
            output = reader.read_attack(directory, names, batch.clean, EPSILON)
            assert np.array_equal(output.adversarial, batch.adversarial)
            rows.append(row(f"read an attack's output (level {level} files)",
                            timed(partial(reader.read_attack, directory, names, batch.clean, EPSILON), repeats),
                            timed(partial(pillow_read, directory, names), repeats),
                            "Pillow in this process", "worker process, enforced"))
        directory = root / "out-array"
        directory.mkdir()
        rows_of_images = np.random.default_rng(1).permutation(len(names))
        np.save(directory / "images.npy", batch.adversarial[rows_of_images])
        rows.append(row("read an attack's output (served, one array)",
                        timed(lambda: reader.read_attack(directory, names, batch.clean, EPSILON, rows=rows_of_images), repeats),
                        timed(lambda: np.load(directory / "images.npy"), repeats), "numpy.load", "enforced"))
    finally:
        reader.close()
    os.sync()
    return rows


if __name__ == "__main__":
    main()
