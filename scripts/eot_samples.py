"""Say whether EOT with 500 samples fools what EOT with ten leaves: ``python scripts/eot_samples.py [--json FILE]``.

The paper takes up to 500 calls of a defense for each gradient, at fifty times the time of the ten that the entry
``submissions/transformation/attacks/eot`` takes. So only images are tried that a defense still labels correctly after the
ten, and only the first few of those. The defense is random: an image is right by the share of ``ANSWERS`` calls that say so.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
ENTRIES = ROOT / "submissions" / "transformation"
#: An image is left to the long attack where more than half of so many answers are right.
ANSWERS, HALF = 10, 0.5


def main() -> None:
    """Attack twice, and print what is left."""
    from field_kit.model import to_tensor  # noqa: PLC0415 - seconds to import
    from harness.dataset.digits import digits_split  # noqa: PLC0415
    from harness.sdk import target  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--defense", default="adversarial_transformation_trained")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--most", type=int, default=8, help="images that the long attack is made for")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--epsilon", type=int, default=16)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.manual_seed(0)
    sys.dont_write_bytecode = True  # a directory's content is the submission's identity
    spec: Any = importlib.util.spec_from_file_location("eot", ENTRIES / "attacks" / "eot" / "attack.py")
    eot: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(eot)
    opened = target(ENTRIES / "defenses" / asked.defense)
    held_out = digits_split()[1]
    images, labels = held_out.images[: asked.images], held_out.labels[: asked.images]

    def right(pixels: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64]:
        answers = np.stack([opened.predict(to_tensor(pixels)) for _ in range(ANSWERS)])
        share: NDArray[np.float64] = (answers == wanted).mean(axis=0)
        return share

    few = eot.SAMPLES
    left = right(eot.attack(images.copy(), asked.epsilon, opened), labels)
    print(f"{few} samples: {left.mean():.3f} of {len(images)} images are labelled correctly", flush=True)
    kept = np.flatnonzero(left > HALF)[: asked.most]
    eot.SAMPLES = asked.samples
    after = right(eot.attack(images[kept].copy(), asked.epsilon, opened), labels[kept])
    print(f"{len(kept)} that are left: {left[kept].mean():.3f} with {few} samples, {after.mean():.3f} with {asked.samples}")
    if asked.json:
        found = {"defense": asked.defense, "images": len(images), "epsilon": asked.epsilon, "few": few, "samples": asked.samples,
                 "left": left.tolist(), "kept": kept.tolist(), "after": after.tolist()}
        asked.json.write_text(json.dumps(found) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
