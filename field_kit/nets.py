"""Small nets of different families for 32x32 images.

Own nets because they need torch alone: an entry with a net of timm's takes twice as long to start. 70,000 to 200,000
parameters each, and each family fails on different perturbations, which is what a contest of transfer needs.
"""

import torch
from torch import nn


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def _head(features: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


class _Residual(nn.Module):
    def __init__(self, *inner: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.shortcut = nn.Sequential(*inner), shortcut or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.inner(x)


def plain(classes: int, width: int = 24) -> nn.Module:
    """Convolutions and max pooling, as in VGG (arXiv 1409.1556)."""
    layers: list[nn.Module] = []
    inputs = 3
    for outputs in (width, 2 * width, 4 * width):
        layers += [_conv(inputs, outputs), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = outputs
    return nn.Sequential(*layers, _conv(inputs, inputs), nn.ReLU(), _head(inputs, classes))


def compact(classes: int, width: int = 64) -> nn.Module:
    """As ``plain``, with three convolutions that are wide from the first on: cheap to go through many times."""
    layers = [_conv(3, width, stride=2), nn.ReLU(), nn.MaxPool2d(2), _conv(width, width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, _conv(width, 2 * width), nn.ReLU(), _head(2 * width, classes))


def residual(classes: int, width: int = 24) -> nn.Module:
    """Residual blocks, as in ResNet (arXiv 1512.03385)."""
    layers: list[nn.Module] = [_conv(3, width, stride=2), nn.ReLU()]
    inputs = width
    for outputs, stride in ((width, 1), (2 * width, 2), (3 * width, 2)):
        inner = (_conv(inputs, outputs, stride=stride), nn.ReLU(), _conv(outputs, outputs))
        shortcut = None if (inputs, stride) == (outputs, 1) else _conv(inputs, outputs, 1, stride)
        layers += [_Residual(*inner, shortcut=shortcut), nn.ReLU()]
        inputs = outputs
    return nn.Sequential(*layers, _head(inputs, classes))


def separable(classes: int, width: int = 32) -> nn.Module:
    """Inverted bottlenecks with depthwise convolutions, as in MobileNetV2 (arXiv 1801.04381)."""
    layers: list[nn.Module] = [_conv(3, width, stride=2), nn.ReLU()]
    inputs = width
    for outputs, stride in ((width, 1), (2 * width, 2), (2 * width, 1), (3 * width, 2)):
        middle = 2 * inputs
        inner = (_conv(inputs, middle, 1), nn.ReLU(), _conv(middle, middle, 3, stride, middle), nn.ReLU())
        block = nn.Sequential(*inner, _conv(middle, outputs, 1))
        layers.append(_Residual(block) if (inputs, stride) == (outputs, 1) else block)
        inputs = outputs
    return nn.Sequential(*layers, _head(inputs, classes))


class _Transformer(nn.Module):
    def __init__(self, classes: int, width: int, depth: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.position = nn.Parameter(torch.randn(1, (32 // patch) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens.mean(1))


def transformer(classes: int, width: int = 64, depth: int = 4, patch: int = 4) -> nn.Module:
    """Patches and attention, as in ViT (arXiv 2010.11929), with the mean of all tokens instead of a class token."""
    return _Transformer(classes, width, depth, patch)


class _Mixer(nn.Module):
    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.across = nn.Sequential(nn.Linear(tokens, tokens), nn.GELU(), nn.Linear(tokens, tokens))
        self.within = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.across(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.within(x)


class _Mixed(nn.Module):
    def __init__(self, classes: int, width: int, depth: int, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.mixing = nn.Sequential(*(_Mixer((32 // patch) ** 2, width) for _ in range(depth)), nn.LayerNorm(width))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mixing(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


def mixer(classes: int, width: int = 64, depth: int = 4, patch: int = 4) -> nn.Module:
    """Fully connected layers across patches and within them, as in MLP-Mixer (arXiv 2105.01601)."""
    return _Mixed(classes, width, depth, patch)


def detector(classes: int = 2, width: int = 16, inputs: int = 3) -> nn.Module:
    """Return three convolutions that tell benign from adversarial, for any map of numbers (an image, its input sensitivity)."""
    layers: list[nn.Module] = []
    for outputs in (width, 2 * width, 4 * width):
        layers += [_conv(inputs, outputs), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = outputs
    return nn.Sequential(*layers, _head(inputs, classes))


class _Denoiser(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(_conv(inputs, outputs, stride=stride), nn.ReLU(), _conv(outputs, outputs), nn.ReLU())
            for inputs, outputs, stride in ((3, width, 1), (width, 2 * width, 2), (2 * width, 3 * width, 2))
        )
        self.up = nn.ModuleList(
            nn.Sequential(_conv(inputs, outputs), nn.ReLU())
            for inputs, outputs in ((5 * width, 2 * width), (3 * width, width))
        )
        self.noise = nn.Conv2d(width, 3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        fine = self.down[0](x)
        middle = self.down[1](fine)
        x = self.down[2](middle)
        for block, skipped in zip(self.up, (middle, fine), strict=True):
            larger = nn.functional.interpolate(x, skipped.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([larger, skipped], 1))
        return self.noise(x)


def denoiser(classes: int = 0, width: int = 12) -> nn.Module:
    """Return a U-Net that estimates the noise in an image, as in high-level guided denoising (arXiv 1712.02976)."""
    del classes  # it returns an image; every net here is built with this argument
    return _Denoiser(width)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class _Autoencoder(nn.Module):
    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            _conv(3, width, stride=2), nn.ReLU(), _conv(width, 2 * width, stride=2), nn.ReLU(),
            _conv(2 * width, 2 * width), nn.ReLU(), nn.Conv2d(2 * width, code, 1),
        )  # fmt: skip
        self.decode = nn.Sequential(
            _conv(code, 2 * width), nn.ReLU(), _conv(2 * width, 2 * width), nn.ReLU(), nn.PixelShuffle(2),
            _conv(width // 2, width), nn.ReLU(), nn.Conv2d(width, 12, 3, 1, 1), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decode(self.encode(x)).sigmoid()


def autoencoder(classes: int = 0, width: int = 24, code: int = 8) -> nn.Module:
    """Return a net that puts images, in [0, 1], together again from ``code`` numbers for each square of 4x4 pixels."""
    del classes  # it returns an image; every net here is built with this argument
    return _Autoencoder(width, code)


class Perturbation(nn.Module):
    """An adversarial transformation network (arXiv 1703.09387): fully convolutional, so any image size; 60,000 parameters.

    Image and epsilon in, direction in [-1, 1] out, as an hourglass with a shortcut at full size.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.full = _block(4, width)
        self.coarse = nn.Sequential(_block(width, 2 * width, 2), _block(2 * width, 2 * width))
        self.up = _block(2 * width, width)
        self.out = nn.Sequential(_block(2 * width, width), nn.Conv2d(width, 3, 3, 1, 1))

    def forward(self, pixels: torch.Tensor, radius: torch.Tensor | float) -> torch.Tensor:
        """Return [n, 3, h, w]; ``pixels`` in [0, 1], ``radius`` (epsilon / 255) one number or one per image."""
        level = torch.as_tensor(radius, device=pixels.device).expand(len(pixels), 1, *pixels.shape[-2:])
        full = self.full(torch.cat([pixels * 2 - 1, level * 4], 1))
        coarse = self.coarse(full)
        half = nn.functional.interpolate(coarse, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return self.out(torch.cat([full, self.up(half)], 1)).tanh()
