"""The rendered shapes as tensors, and their augmentation: as for digits, but what comes in from outside is the image's edge."""

import functools

import numpy as np
import torch
from digits import augment as zoom_and_shift

from field_kit.model import DEVICE, to_tensor
from harness.dataset.shapes import TOURNAMENT_IMAGES, shapes

TRAINING_IMAGES = 4000

augment = functools.partial(zoom_and_shift, outside="border")


def training_set() -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels in [0, 1] [4000, 3, 64, 64] and labels."""
    train = shapes("train", TRAINING_IMAGES)
    return to_tensor(train.images), torch.from_numpy(train.labels).to(DEVICE)


def tournament_images() -> tuple[np.ndarray, np.ndarray]:
    """Return the 1,000 images uint8 and their labels; for the table of results only, never for training."""
    held_out = shapes("test", TOURNAMENT_IMAGES)
    return held_out.images, held_out.labels
