"""LaVAN: visible noise in one square that covers no more than 2 % of an image (arXiv 1801.02608, algorithm 1)."""

import zlib
from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_attack, within

STEPS, STEP, PLACES = 40, 0.1, 4
NET = load(Path(__file__).parent / "model.json")


def places(image: np.ndarray, side: int) -> np.ndarray:
    """Return [PLACES, 2] upper left corners; they depend on nothing but the image."""
    random = np.random.default_rng(zlib.crc32(image))
    return random.integers(0, np.array(image.shape[:2]) - side + 1, (PLACES, 2))


def squares(corners: np.ndarray, side: int, size: torch.Size) -> torch.Tensor:
    """Return [n, 1, h, w]: 1 in the square of each image, 0 around it."""
    mask = torch.zeros(len(corners), 1, *size[-2:])
    for row, (top, left) in zip(mask, corners, strict=True):
        row[:, top : top + side, left : left + side] = 1
    return mask


def margin(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return by how much the likeliest other class is ahead of the label."""
    own = logits.gather(1, labels[:, None])[:, 0]
    return logits.scatter(1, labels[:, None], -torch.inf).amax(1) - own


def attack(images: np.ndarray, side: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]: of a few places at random the one where a grey square does most, then steps within it.

    Steps follow the gradient of margin along its sign; the paper's follow source and target logits, scaled.
    """
    clean = to_tensor(images)
    labels = NET(clean).argmax(1)
    corners = np.stack([places(image, side) for image in images], 1)  # [PLACES, n, 2]
    masks = torch.stack([squares(place, side, clean.shape).to(clean.device) for place in corners])
    with torch.no_grad():
        gains = torch.stack([margin(NET(clean * (1 - mask) + 0.5 * mask), labels) for mask in masks])
    mask = masks[gains.argmax(0), torch.arange(len(clean))]
    moved = clean * (1 - mask) + 0.5 * mask
    best, ahead = clean, torch.full(labels.shape, -torch.inf, device=clean.device)
    for _ in range(STEPS):
        leaf = moved.detach().requires_grad_()
        gain = margin(NET(leaf), labels)
        (gradient,) = torch.autograd.grad(gain.sum(), leaf)
        better = gain.detach() > ahead
        best, ahead = torch.where(better[:, None, None, None], moved, best), torch.where(better, gain.detach(), ahead)
        moved = (moved + STEP * gradient.sign() * mask).clamp(0, 1)
    return within(images, to_pixels(best), 255)


if __name__ == "__main__":
    run_attack(attack)
