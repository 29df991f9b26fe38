"""Read a net from its spec, the file ``model.json`` beside its weights; images as tensors and back.

A spec says: ``library`` (``nets`` for those of ``field_kit.nets``, else ``timm``), ``net`` and its ``options``, ``weights`` (a
safetensors file beside the spec), ``classes``, ``label_offset`` (label = class + offset),
``size`` (height, width), ``mean`` and ``std``. timm is imported only for its own nets: with torchvision it costs as long to
import as torch itself.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from field_kit import nets

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Model(nn.Module):
    """A net that takes pixels in [0, 1], shape [n, 3, h, w], and normalises inside."""

    def __init__(self, net: nn.Module, spec: dict) -> None:
        super().__init__()
        self.net, self.size, self.label_offset = net, tuple(spec["size"]), spec["label_offset"]
        self.register_buffer("mean", torch.tensor(spec["mean"]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(spec["std"]).view(1, -1, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits [n, classes]; pixels of another size are resized, never cropped."""
        if tuple(pixels.shape[-2:]) != self.size:
            pixels = nn.functional.interpolate(pixels, self.size, mode="bilinear", align_corners=False, antialias=True)
        return self.net((pixels - self.mean) / self.std)

    def labels(self, logits: torch.Tensor) -> np.ndarray:
        """Return the data set's labels for logits."""
        return logits.argmax(1).cpu().numpy() + self.label_offset

    @torch.inference_mode()
    def classify(self, images: np.ndarray) -> np.ndarray:
        """Return the data set's labels for images, uint8 [n, h, w, 3]."""
        return self.labels(self(to_tensor(images)))


def build(spec: dict) -> Model:
    """Make the net that a spec describes, its weights fresh."""
    options = spec.get("options", {})
    if spec["library"] == "timm":
        import timm  # noqa: PLC0415

        return Model(timm.create_model(spec["net"], num_classes=spec["classes"], **options), spec)
    return Model(getattr(nets, spec["net"])(classes=spec["classes"], **options), spec)


def load(spec_file: Path) -> Model:
    """Read a spec and its weights; ready to classify, its parameters frozen."""
    spec = json.loads(Path(spec_file).read_text())
    model = build(spec)
    model.net.load_state_dict(load_file(Path(spec_file).parent / spec["weights"]))
    return model.eval().requires_grad_(requires_grad=False).to(DEVICE)


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """Turn uint8 [n, h, w, 3] into float [n, 3, h, w] in [0, 1]."""
    return torch.from_numpy(images).to(DEVICE).permute(0, 3, 1, 2).float().div(255)


def to_pixels(tensor: torch.Tensor) -> np.ndarray:
    """Turn float [n, 3, h, w] in [0, 1] into pixel values 0..255, float [n, h, w, 3]; not yet rounded (``sdk.within``)."""
    return tensor.detach().mul(255).permute(0, 2, 3, 1).cpu().numpy()
