"""Label images where all three nets agree: ``python -m lite_nets LEAST``.

The first line of stdout is a JSON list, the names of the classes. Each line of stdin is then the path of a ``.npy`` file, uint8
[n, h, w, 3], and is answered by one line: a JSON list of n classes, null where the nets disagree or one of them gives the class
LEAST probability or less. So whoever needs labels needs no torch of his own.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from field_kit.model import to_tensor
from lite_nets import SIZES, load

#: Images in one pass: more are no faster on a CPU.
_AT_ONCE = 16


def main(least: float) -> None:
    """Answer until stdin ends."""
    nets = [load(name) for name in SIZES]
    _say(class_names())
    for line in sys.stdin:
        images = np.load(line.rstrip("\n"), allow_pickle=False)
        _say([each for part in range(0, len(images), _AT_ONCE) for each in agreed(nets, images[part : part + _AT_ONCE], least)])


def agreed(nets: Sequence[Callable[[torch.Tensor], torch.Tensor]], images: np.ndarray, least: float) -> list[int | None]:
    """The class of each image that all nets give more than ``least``; None where there is none.

    A net sees only what the ones before it were sure of: three in four candidates are settled by the first.
    """
    classes = np.full(len(images), -1)
    left = np.arange(len(images))
    for number, net in enumerate(nets):
        if not len(left):
            break
        with torch.inference_mode():
            confidence, found = (each.cpu().numpy() for each in net(to_tensor(images[left])).softmax(1).max(1))
        kept = (confidence > least) & ((found == classes[left]) | (number == 0))
        classes[left] = np.where(kept, found, -1)
        left = left[kept]
    return [None if each < 0 else int(each) for each in classes]


def class_names() -> list[str]:
    """ImageNet's 1,000, the first of each one's names."""
    from timm.data import ImageNetInfo  # noqa: PLC0415

    info = ImageNetInfo()
    return [info.index_to_description(index).split(",")[0] for index in range(1000)]


def _say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit(f"usage: python -m {Path(__file__).parent.name} LEAST")
    main(float(sys.argv[1]))
