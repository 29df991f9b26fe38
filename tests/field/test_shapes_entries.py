"""The entries for the rendered shapes: contract, mathematics against a second way to it, effect on a handful of images."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("foolbox")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")

from entry_loading import SUBMISSIONS, labels_of

from field_kit.model import to_tensor
from field_kit.traces import column_stripes, largest_error, noise
from harness.dataset.shapes import Shapes, shapes

pytestmark = pytest.mark.field

HOME = SUBMISSIONS / "shapes"
ENTRIES = sorted(path.parent for path in HOME.glob("*/*/metadata.json"))


@functools.cache
def held_out(count: int, start: int = 0) -> Shapes:
    return shapes("test", count, start)


@pytest.mark.parametrize("directory", ENTRIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_entry_is_complete(directory: Path) -> None:
    said = json.loads((directory / "metadata.json").read_text())
    assert said["type"] == {"attacks": "attack", "defenses": "defense", "detectors": "detector"}[directory.parent.name]
    assert said["protocol"] == "serve"
    assert os.access(directory / said["entry_point"], os.X_OK)
    readme = (directory / "README.md").read_text().splitlines()
    assert [line.split(":")[0] for line in readme] == [
        "- Method", "- Source", "- Parameters", "- What to expect", "- What it is not"]
    assert sum(path.stat().st_size for path in directory.glob("*.safetensors")) < 1_000_000


@pytest.mark.parametrize("name", ["undefended_a"])
def test_a_net_knows_clean_shapes(name: str) -> None:
    """The first 100 of the tournament's."""
    part = held_out(100)
    assert np.mean(labels_of(f"shapes/defenses/{name}", part.images) == part.labels) >= 0.94
    assert (HOME / "defenses" / name / "model.safetensors").stat().st_size < 500_000


def test_the_largest_error_by_hand() -> None:
    images = held_out(2).images
    assert largest_error(torch.nn.Identity(), images).tolist() == [0, 0]
    wrong = images.copy()
    wrong[1, 5, 6, 1] ^= 128
    assert largest_error(lambda _: to_tensor(images), wrong) == pytest.approx([0, 128 / 255])


def test_stripes_by_hand() -> None:
    """Red and green columns in turn: neighbours' sums are 64 and 64 at a third of a turn, 64 sqrt(3) apart; rows change nothing."""
    upright = np.zeros((1, 64, 64, 3), np.uint8)
    upright[:, :, ::2, 0] = upright[:, :, 1::2, 1] = 200
    found = column_stripes(np.concatenate([upright, upright.transpose(0, 2, 1, 3)]))
    assert found == pytest.approx([64 * 3**0.5, 0], abs=0.5)


def test_noise_by_hand() -> None:
    """A board of +5 and -5: the Laplacian is +40 on half of the pixels and cut to 0 on the others; a lone dot is no bulk."""
    board = np.indices((64, 64)).sum(0) % 2 * 10
    images = np.full((3, 64, 64, 3), 100, np.uint8)
    images[0] += board[..., None].astype(np.uint8)
    images[2, 30, 30] = 255
    assert noise(images).tolist() == [20, 0, 0]
    scipy_signal = pytest.importorskip("scipy.signal")
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    image = held_out(1).images
    whole = np.stack([scipy_signal.convolve2d(image[0, :, :, c].astype(int), kernel, "valid") for c in range(3)])
    assert noise(image)[0] == np.median(whole.clip(0, 255).max(0))
