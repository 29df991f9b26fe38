"""What the two attacks that are trained offline share: the surrogates, and one pass over the training images."""

from collections.abc import Iterator

import torch
from adversary import random_epsilon
from recipes import SURROGATES
from sets import SETS
from torch.nn import functional as F

from field_kit.model import load

BATCH = 64
#: What the tournaments' epsilons lie in.
EPSILONS = {"digits": (16, 64), "shapes": (4, 16)}
#: Loss beyond which an image is fooled well enough: without a cap a few images take the whole gradient (arXiv 1811.11304).
ENOUGH = 4.0


def surrogates() -> list[torch.nn.Module]:
    """Return the three public nets."""
    return [load(SURROGATES / name / "model.json") for name in "abc"]


def batches(epochs: int, seed: int, data: str = "digits") -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield augmented pixels in [0, 1] and one epsilon / 255 per image, shape [n, 1, 1, 1]."""
    torch.manual_seed(seed)
    pixels, _ = SETS[data].training_set()
    lowest, highest = EPSILONS[data]
    for _ in range(epochs):
        order = torch.randperm(len(pixels)).to(pixels.device)
        for part in order.split(BATCH)[:-1]:
            images = SETS[data].augment(pixels[part])
            extra = random_epsilon(len(images), highest - lowest, images.device)
            yield images, lowest / 255 + extra


def fooling_loss(nets: list[torch.nn.Module], clean: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """Return what to minimise: minus the capped loss of each net at its own clean label, averaged over nets and images."""
    losses = []
    for net in nets:
        with torch.no_grad():
            labels = net(clean).argmax(1)
        losses.append(F.cross_entropy(net(moved), labels, reduction="none").clamp(max=ENOUGH))
    return -torch.stack(losses).mean()
