"""Feature squeezing: look with and without filters, and trust the filters where they disagree (Xu et al., arXiv 1704.01155).

The paper rejects such an image. A defense here must name a label, so it names the filtered copies' mean.
"""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from field_kit.model import load, to_tensor
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
#: L1 distance of probabilities (0..2) above which an image counts as adversarial: as in the paper, what 5 % of the clean
#: training images exceed (median .02, 99th percentile .16).
THRESHOLD = 0.094
LEVELS, WINDOW = 7, 3


def squeezed(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the copies of the images: 3 bits, and a median filter."""
    fewer = np.rint(np.rint(images / 255 * LEVELS) * (255 / LEVELS)).astype(np.uint8)
    smooth = [np.asarray(Image.fromarray(image).filter(ImageFilter.MedianFilter(WINDOW))) for image in images]
    return fewer, np.stack(smooth)


def distances(images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return probabilities of the images, of their copies (mean), and the largest L1 distance between them."""
    plain = NET(to_tensor(images)).softmax(1)
    copies = torch.stack([NET(to_tensor(copy)).softmax(1) for copy in squeezed(images)])
    return plain, copies.mean(0), (copies - plain).abs().sum(2).amax(0)


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels, or the copies' where they are far from it."""
    plain, copies, distance = distances(images)
    return NET.labels(torch.where((distance > THRESHOLD)[:, None], copies, plain))


if __name__ == "__main__":
    run_defense(classify)
