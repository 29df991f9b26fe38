"""A small net with its weights, and images as tensors and back: with torch and the SDK all that this directory needs.

Change the net, or put one of your own in its place. ``model.json`` beside it says what the net takes and answers.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs))


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(inputs, outputs, 3, stride), nn.ReLU(), _conv(outputs, outputs))
        self.shortcut = nn.Identity() if inputs == outputs else _conv(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.inner(x)


def residual(classes: int) -> nn.Module:
    """Residual blocks for 32x32 images, as in ResNet (arXiv 1512.03385)."""
    layers: list[nn.Module] = [_conv(3, 24, 3, 2), nn.ReLU()]
    for inputs, outputs, stride in ((24, 24, 1), (24, 48, 2), (48, 72, 2)):
        layers += [_Residual(inputs, outputs, stride), nn.ReLU()]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(72, classes))
    return nn.Sequential(*layers, head)


class Model(nn.Module):
    """A net that takes pixels in [0, 1], shape [n, 3, h, w], and normalises inside."""

    def __init__(self, net: nn.Module, spec: dict) -> None:
        super().__init__()
        self.net, self.size, self.label_offset = net, tuple(spec["size"]), spec["label_offset"]
        self.register_buffer("mean", torch.tensor(spec["mean"]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(spec["std"]).view(1, -1, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [n, classes]; pixels of another size are resized, never cropped."""
        if tuple(pixels.shape[-2:]) != self.size:
            pixels = nn.functional.interpolate(pixels, self.size, mode="bilinear", align_corners=False, antialias=True)
        return self.net((pixels - self.mean) / self.std)

    def labels(self, logits: torch.Tensor) -> np.ndarray:
        """Return the data set's labels for logits: the net counts from 0, the data set from ``label_offset``."""
        return logits.argmax(1).cpu().numpy() + self.label_offset


def load(spec_file: Path) -> Model:
    """Read a spec and its weights; ready to classify, its parameters frozen."""
    spec = json.loads(spec_file.read_text())
    net = residual(spec["classes"])
    net.load_state_dict(load_file(spec_file.parent / spec["weights"]))
    return Model(net, spec).eval().requires_grad_(requires_grad=False).to(DEVICE)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 [n, h, w, 3] into float [n, 3, h, w] in [0, 1]."""
    return torch.from_numpy(images).to(DEVICE).permute(0, 3, 1, 2).float().div(255)


def to_pixels(tensor: torch.Tensor) -> np.ndarray:
    """Turn float [n, 3, h, w] in [0, 1] into pixel values 0..255, float [n, h, w, 3]; not yet rounded (``sdk.within``)."""
    return tensor.detach().mul(255).permute(0, 2, 3, 1).cpu().numpy()
