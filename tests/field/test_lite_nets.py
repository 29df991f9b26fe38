"""Weights under another implementation's names come to the right places of timm's nets, or are refused."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

import lite_nets

pytestmark = pytest.mark.field

#: Keys as the package of lite0 has them, and what they are in timm.
PAIRS = {
    "_conv_stem.weight": "conv_stem.weight",
    "_bn0.running_var": "bn1.running_var",
    "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
    "_blocks.0._bn1.bias": "blocks.0.0.bn1.bias",
    "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
    "_blocks.0._bn2.weight": "blocks.0.0.bn2.weight",
    "_blocks.1._expand_conv.weight": "blocks.1.0.conv_pw.weight",
    "_blocks.1._bn0.weight": "blocks.1.0.bn1.weight",
    "_blocks.2._depthwise_conv.weight": "blocks.1.1.conv_dw.weight",
    "_blocks.2._bn1.running_mean": "blocks.1.1.bn2.running_mean",
    "_blocks.15._project_conv.weight": "blocks.6.0.conv_pwl.weight",
    "_blocks.15._bn2.num_batches_tracked": "blocks.6.0.bn3.num_batches_tracked",
    "_conv_head.weight": "conv_head.weight",
    "_bn1.bias": "bn2.bias",
    "_fc.bias": "classifier.bias",
}


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return timm.create_model("tf_efficientnet_lite0")


@pytest.fixture
def given(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The net's own weights under the package's names, in the package's order: layers as they are passed through."""
    outer = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    named: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    for key, tensor in net.state_dict().items():
        place, _, part = key.rpartition(".")
        if not place.startswith("blocks"):
            named[f"{outer[place]}.{part}"] = tensor
            continue
        block, layer = place.rsplit(".", 1)
        number = counts.setdefault(block, len(counts))
        layers = ["conv_dw", "bn1", "conv_pw", "bn2"] if number == 0 else ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]
        theirs = ["_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2"][-len(layers):]
        named[f"_blocks.{number}.{theirs[layers.index(layer)]}.{part}"] = tensor
    return named


def test_each_tensor_comes_to_its_place(net, given) -> None:
    found = lite_nets.translated(given, net)
    assert len(given) == 296
    assert {theirs: next(name for name in found if found[name] is given[theirs]) for theirs in PAIRS} == PAIRS
    own = net.state_dict()
    assert all(torch.equal(found[name], own[name]) for name in own)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda given: given.pop("_fc.bias"), "1 keys differ"),
    (lambda given: given.update({"_blocks.16._bn1.bias": torch.zeros(1)}), "1 keys differ"),
    (lambda given: given.update({"_blocks.3._expanded.weight": given.pop("_blocks.3._expand_conv.weight")}), "keys differ"),
    (lambda given: given.update({"_conv_head.weight": given["_conv_head.weight"].transpose(0, 1)}), "conv_head.weight is "),
])
def test_weights_of_another_net_are_refused(net, given, change, sentence) -> None:
    change(given)
    with pytest.raises(ValueError, match=sentence):
        lite_nets.translated(given, net)


class Sure:
    """A stand-in net: class and probability of each image by its brightness."""

    def __init__(self, answers: dict[int, tuple[int, float]]) -> None:
        self.answers, self.seen = answers, 0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen += len(pixels)
        rows = []
        for value in (pixels.amax((1, 2, 3)) * 255).round().int().tolist():
            chosen, probability = self.answers[value]
            row = torch.full((3,), (1 - probability) / 2)
            row[chosen] = probability
            rows.append(row.log())
        return torch.stack(rows)


def test_images_are_labelled_where_every_net_is_sure_of_the_same_class() -> None:
    import numpy as np

    from lite_nets.__main__ import agreed

    first = Sure({1: (2, 0.9), 2: (2, 0.9), 3: (1, 0.39), 4: (0, 0.8)})
    second = Sure({1: (2, 0.5), 2: (1, 0.9), 4: (0, 0.41)})
    third = Sure({1: (2, 0.6), 4: (0, 0.39)})
    images = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (1, 2, 3, 4)])
    assert agreed([first, second, third], images, 0.4) == [2, None, None, None]
    assert (first.seen, second.seen, third.seen) == (4, 3, 2)
