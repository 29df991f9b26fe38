"""Input sensitivity and GRED's vote, against finite differences, a case by hand and the paper's own formulas."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch import nn

from field_kit import nets
from field_kit.model import Model
from field_kit.sensitivity import FLOOR, Detector, input_sensitivity, log_sensitivity, middle_saliency, more_certain

pytestmark = pytest.mark.field

SPEC = {"size": [8, 8], "label_offset": 0, "mean": [0.5] * 3, "std": [0.5] * 3}


def small(maker=nets.residual, seed: int = 0, **options) -> Model:
    """A fresh net of 8x8 images in double precision, its activations smooth, so that differences of the loss tell its slope."""
    torch.manual_seed(seed)
    net = maker(**{"classes": 5, "width": 8} | options)
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
    return Model(net, SPEC).double().eval()


def pixels(count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_sensitivity_is_the_slope_of_the_loss_at_the_predicted_class() -> None:
    """By central differences in numpy, at twenty places of each image."""
    net, images = small(), pixels()

    def loss(image: torch.Tensor, label: int) -> float:
        logits = net(image[None]).detach().numpy()[0]
        return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[label])

    found = input_sensitivity(net, images).numpy().reshape(2, -1)
    for index, image in enumerate(images):
        label = int(net(image[None]).argmax())
        for place in range(0, 192, 10):
            step = torch.zeros(192, dtype=torch.float64)
            step[place] = 1e-5
            moved = [loss(image + sign * step.view(3, 8, 8), label) for sign in (1, -1)]
            assert found[index, place] == pytest.approx(abs(moved[0] - moved[1]) / 2e-5, rel=1e-5, abs=1e-10)


def test_sensitivity_of_two_pixels_by_hand() -> None:
    """f(x) = (x1, 3 x2 - x1) at (1, .5): logits 1 and .5, p = .6225 and .3775; dCE/dx = (-2, 3) * .3775."""
    weights = torch.tensor([[1.0, 0.0], [-1.0, 3.0]])
    found = input_sensitivity(lambda x: x @ weights.T, torch.tensor([[1.0, 0.5]]))
    assert found[0].tolist() == pytest.approx([2 * 0.37754, 3 * 0.37754], abs=1e-4)


def test_a_net_that_is_certain_has_the_least_sensitivity_that_there_is() -> None:
    certain = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    found = log_sensitivity(lambda x: x @ certain.T + torch.tensor([1e6, 0.0]), torch.ones(1, 2))
    assert found[0].tolist() == pytest.approx([np.log10(FLOOR)] * 2)


def test_an_image_has_the_sensitivity_it_has_alone() -> None:
    net, images = small(), pixels(3)
    together = input_sensitivity(net, images)
    alone = torch.cat([input_sensitivity(net, image[None]) for image in images])
    assert torch.allclose(together, alone)
    assert not together.requires_grad


def test_the_more_certain_of_two_is_the_one_of_the_lower_entropy() -> None:
    odds = torch.linspace(-6, 6, 49, dtype=torch.float64)
    image, sensitivity = torch.meshgrid(odds, odds, indexing="ij")

    def entropy(log_odds: torch.Tensor) -> torch.Tensor:
        p = log_odds.sigmoid()
        return -(p * p.log2() + (1 - p) * (1 - p).log2())

    # Equal entropies differ in the last bit where the one is of p and the other of 1 - p: those are the ties.
    ties = image.abs() == sensitivity.abs()
    wanted = torch.where((entropy(image) < entropy(sensitivity)) & ~ties, image, sensitivity)
    assert torch.equal(more_certain(image, sensitivity), wanted)
    assert more_certain(torch.tensor([2.0, -2.0]), torch.tensor([-2.0, 2.0])).tolist() == [-2.0, 2.0]


def test_the_detector_can_be_attacked_through_the_sensitivity() -> None:
    """Its slope, second derivatives of the classifier included, is what central differences give."""
    detector = Detector(small(), small(nets.detector, 1, classes=2), small(nets.detector, 2, classes=2, width=8))
    images = pixels(1)
    leaf = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(detector(leaf).sum(), leaf)
    direction = torch.randn(images.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (detector(images + sign * 1e-6 * direction).item() for sign in (1, -1))
    assert (slope * direction).sum().item() == pytest.approx((ahead - behind) / 2e-6, rel=1e-4)


def test_saliency_is_of_the_middle_layer() -> None:
    net, images = small(), pixels(2)
    maps = net.net[: len(net.net) // 2]((images - 0.5) / 0.5)
    found = middle_saliency(net, images)
    assert found.shape == (2, 1, *maps.shape[2:])
    place, step = (0, 1, 1), 1e-6
    top = net(images).argmax(1)
    rest = net.net[len(net.net) // 2 :]
    slopes = []
    for channel in range(maps.shape[1]):
        moved = maps.detach().clone(), maps.detach().clone()
        moved[0][0, channel, *place[1:]] += step
        moved[1][0, channel, *place[1:]] -= step
        slopes.append(abs((rest(moved[0])[0, top[0]] - rest(moved[1])[0, top[0]]).item()) / (2 * step))
    assert found[0, 0, *place[1:]].item() == pytest.approx(np.log10(max(slopes)), abs=1e-4)
