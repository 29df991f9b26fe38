"""What white-box attacks are given: the net, and the filter in front of it, which gradients do not pass."""

import numpy as np
import torch
from defense import NET, smooth

from field_kit.model import to_pixels, to_tensor


class Opened:
    """See ``harness.sdk.Target``."""

    logits, label_offset = NET, NET.label_offset

    def transform(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the median of each pixel's neighbourhood; the filter takes whole pixel values, as files have them."""
        return to_tensor(smooth(np.rint(to_pixels(pixels)).clip(0, 255).astype(np.uint8)))

    @torch.inference_mode()
    def predict(self, pixels: torch.Tensor) -> np.ndarray:
        """Return the labels that the defense answers."""
        return NET.labels(NET(self.transform(pixels)))


load = Opened
