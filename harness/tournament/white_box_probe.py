"""A program for the sandbox: it loads a defense's ``whitebox.py`` as a white-box attack would, and reports what it finds.

`harness validate` starts a copy of this file and imports nothing of it. By its contract it is a defense whose labels are the
target's own, so that they can be laid beside those of the program itself; what else it finds is one line of JSON. It takes torch
and ``harness.sdk`` from the image that it runs in, under their names only: no module of the harness imports either.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def look(target: Any, pixels: Any, torch: Any) -> tuple[list[int], dict[str, Any]]:  # noqa: ANN401 - as the image has them
    """The target's labels, and what its logits are like."""
    labels = target.predict(pixels)
    with torch.no_grad():
        seen = target.transform(pixels)
    leaf = seen.detach().requires_grad_()
    logits = target.logits(leaf)
    best, last = logits.detach().argmax(1).cpu().numpy(), logits.shape[1] - 1
    same = (best + target.label_offset == labels) | ((labels == -1) & (best == last))
    found = {"randomised": target.randomised, "classes": last + 1, "same": int(same.sum()), "gradient": "none"}
    if logits.requires_grad:
        # Not their sum, which is the same for any image where they are probabilities.
        gradient = torch.autograd.grad((logits.max(1).values - logits.mean(1)).sum(), leaf, allow_unused=True)[0]
        if gradient is not None:
            found["gradient"] = "zero" if not gradient.any() else "finite" if torch.isfinite(gradient).all() else "not finite"
    return labels.tolist(), found


def main(input_dir: Path, result: Path, directory: Path) -> None:
    """Be a defense, with a target."""
    try:
        torch, sdk = importlib.import_module("torch"), importlib.import_module("harness.sdk")
        load = sdk.target
    except (ImportError, AttributeError) as error:
        print(json.dumps({"white box": {"untried": str(error)}}))  # noqa: T201 - how it is heard
        return
    names = sorted(path.name for path in input_dir.iterdir() if path.suffix == ".png")
    images = np.stack([np.asarray(Image.open(input_dir / name).convert("RGB")) for name in names])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div(255)
    try:
        labels, found = look(load(directory), pixels, torch)
    except sdk.TargetError as error:
        found = {"refused": str(error)}
    else:
        result.write_text("".join(f"{name},{label}\n" for name, label in zip(names, labels, strict=True)))
    print("\n" + json.dumps({"white box": found}))  # noqa: T201


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
