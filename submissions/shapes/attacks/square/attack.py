"""Square attack, L-infinity: random search with squares, from vertical stripes (arXiv 1912.00049, algorithms 1 and 2).

It asks its own net, as often as a contest would let it ask somebody else's, and never for a gradient.
"""

import zlib
from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_attack, within

QUERIES, SHARE = 300, 0.3
#: The share of pixels in a square is halved at these queries of 10,000 (section 4.1); fewer queries shrink the schedule.
HALVED = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
NET = load(Path(__file__).parent / "model.json")


def side(query: int, height: int) -> int:
    """Return the square's side at a query."""
    share = SHARE / 2 ** sum(query * 10_000 / QUERIES > limit for limit in HALVED)
    return min(max(round((share * height**2) ** 0.5), 1), height - 1)


def lead(pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the label's logit less the likeliest other one: what the search makes small, below 0 where it has fooled."""
    logits = NET(pixels)
    own = logits.gather(1, labels[:, None])[:, 0]
    return own - logits.scatter(1, labels[:, None], -torch.inf).amax(1)


@torch.inference_mode()
def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image that is fooled is left as it then is."""
    # An image's squares are its own, whatever stands beside it in the batch and in which order.
    random = [torch.Generator().manual_seed(zlib.crc32(np.ascontiguousarray(image))) for image in images]
    clean = to_tensor(images)
    labels = NET(clean).argmax(1)
    count, channels, height, width = clean.shape
    radius = epsilon / 255

    def signs(index: int, *shape: int) -> torch.Tensor:
        return (torch.randint(0, 2, shape, generator=random[index]).float() * 2 - 1).to(clean.device)

    moved = (clean + radius * torch.stack([signs(index, channels, 1, width) for index in range(count)])).clamp(0, 1)
    leads = lead(moved, labels)
    for query in range(1, QUERIES):
        left = (leads > 0).nonzero()[:, 0]
        if not len(left):
            break
        size = side(query, height)
        tried = moved[left].clone()
        for row, index in zip(tried, left, strict=True):
            top = int(torch.randint(0, height - size + 1, (), generator=random[int(index)]))
            start = int(torch.randint(0, width - size + 1, (), generator=random[int(index)]))
            square = (slice(None), slice(top, top + size), slice(start, start + size))
            row[square] = clean[index][square] + radius * signs(int(index), channels, 1, 1)
        tried = tried.clamp(0, 1)
        found = lead(tried, labels[left])
        better = found < leads[left]
        moved[left[better]], leads[left[better]] = tried[better], found[better]
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_attack(attack)
