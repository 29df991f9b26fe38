import csv
from typing import Any

import numpy as np
import pytest

from harness.dataset.verify import verify
from harness.dataset.write import Plan, write_dataset
from harness.formats.images import encode_png


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(0)
    plans = []
    for index in range(4):
        pixels = rng.integers(0, 256, (5, 6, 3), np.uint8)
        plans.append(Plan(f"img{index}", index, index + 1, "made", lambda pixels=pixels: pixels))  # type: ignore[misc]
    write_dataset(tmp_path / "d", plans, label_range=(0, 9), size=(6, 5), classes=(), source="made")
    return tmp_path / "d"


def black(root, name="img1.png", shape=(5, 6, 3)):
    (root / "images" / name).write_bytes(encode_png(np.zeros(shape, np.uint8)))


def edit(root, change):
    path = root / "metadata.csv"
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    change(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def label_changed(root):
    edit(root, lambda rows: rows[1].__setitem__(1, "7"))


def without_hashes(root):
    edit(root, lambda rows: [row.pop(3) for row in rows])


def rewrite(root):
    data = (root / "images" / "img1.png").read_bytes()
    (root / "images" / "img1.png").write_bytes(data)


FAULTS: dict[str, Any] = {
    "nothing": ([], []),
    "written again": ([rewrite], []),
    "no column of hashes": ([without_hashes], []),
    "changed": ([black], ["images/img1.png: its pixels changed"]),
    "changed, no hashes": ([without_hashes, black], ["are not those of the digest"]),
    "missing": ([lambda root: (root / "images" / "img1.png").unlink()], ["img1.png cannot be read"]),
    "unreadable": ([lambda root: (root / "images" / "img1.png").write_bytes(b"x")], ["img1.png cannot be decoded"]),
    "extra": ([lambda root: black(root, "new.png")], ["images/'new.png': metadata.csv does not name it"]),
    "another size": ([lambda root: black(root, shape=(6, 6, 3))], ["img1.png is not 6x5"]),
    "label changed": ([label_changed], ["are not those of the digest"]),
    "no metadata": ([lambda root: (root / "metadata.csv").unlink()], ["metadata.csv: it cannot be read"]),
    "no images": ([lambda root: (root / "images").rename(root / "x")], ["img0", "img1", "img2", "img3", "images cannot"]),
    "all at once": (
        [black, lambda root: (root / "images" / "img2.png").unlink(), lambda root: black(root, "new.png")],
        ["img2.png cannot be read", "new.png", "img1.png: its pixels changed"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_names_every_difference(root, fault):
    changes, expected = FAULTS[fault]
    for change in changes:
        change(root)
    problems = verify(root)
    assert len(problems) == len(expected)
    for problem, words in zip(problems, expected, strict=True):
        assert words in problem
