"""What families of attacks leave in an image: the measures of a team of the 2022 detection contest, one score per image.

Each sees its own family and little else; entries use them alone and as a cascade. None needs the classifier.
"""

import numpy as np
import torch
from PIL import Image
from torch import nn

from field_kit.model import to_tensor


@torch.inference_mode()
def largest_error(autoencoder: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the L-infinity distance to the reconstruction, 0..1: a patch of noise is what cannot be put together again."""
    pixels = to_tensor(images)
    return (autoencoder(pixels) - pixels).abs().amax((1, 2, 3)).cpu().numpy()


def column_stripes(images: np.ndarray) -> np.ndarray:
    """Return how much the hue's sum changes from one column to the next: Square attack begins with vertical stripes.

    Hue is an angle, so columns sum its directions. The median, because edges of a shape change few columns and stripes change all.
    """
    hue = np.stack([np.asarray(Image.fromarray(image).convert("HSV"))[:, :, 0] for image in images])
    columns = np.exp(2j * np.pi / 256 * hue).sum(1)
    return np.median(np.abs(np.diff(columns, axis=1)), axis=1)


def noise(images: np.ndarray) -> np.ndarray:
    """Return where the middle of the value channel's histogram lies after a Laplacian, 0..255.

    In a clean image nearly all of it is at 0 and a long tail of edges to the right; noise moves the bulk to the right. The
    skewness as a number is ruled by the few edges; the median is not.
    """
    x = images.astype(np.int16)
    laplacian = 4 * x[:, 1:-1, 1:-1] - x[:, :-2, 1:-1] - x[:, 2:, 1:-1] - x[:, 1:-1, :-2] - x[:, 1:-1, 2:]
    value = laplacian.clip(0, 255).max(axis=3)
    return np.median(value, axis=(1, 2))
