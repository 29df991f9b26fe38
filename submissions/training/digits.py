"""The training images as tensors, and the augmentation that every net here is trained with."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import DEVICE, to_tensor
from harness.dataset.digits import TOURNAMENT_IMAGES, digits_split


def training_set() -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels in [0, 1] [1297, 3, 32, 32] and labels."""
    train, _ = digits_split()
    return to_tensor(train.images), torch.from_numpy(train.labels).to(DEVICE)


def tournament_images() -> tuple[np.ndarray, np.ndarray]:
    """Return the 400 images uint8 and their labels; for the table of results only, never for training."""
    _, held_out = digits_split()
    return held_out.images[:TOURNAMENT_IMAGES], held_out.labels[:TOURNAMENT_IMAGES]


def augment(pixels: torch.Tensor, outside: str = "zeros") -> torch.Tensor:
    """Zoom each image to 0.75..1.15 of its size and shift it by up to 10 %; ``outside`` is black or the image's ``border``.

    Without it random resize and padding costs a net half of its clean accuracy.
    """
    count = len(pixels)
    zoom = 1 / torch.empty(count, device=pixels.device).uniform_(0.75, 1.15)
    shift = torch.empty(count, 2, device=pixels.device).uniform_(-0.2, 0.2)
    matrix = torch.zeros(count, 2, 3, device=pixels.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = zoom
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode=outside, align_corners=False)
