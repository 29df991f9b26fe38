"""Transforms that torchvision renamed in 0.2 and dropped later."""

from __future__ import annotations

from types import ModuleType

NAMES = {"Scale": "Resize", "RandomSizedCrop": "RandomResizedCrop"}


def patch(transforms: ModuleType) -> None:
    """Point each removed name at its successor; the arguments are the same."""
    for old, new in NAMES.items():
        if not hasattr(transforms, old):
            setattr(transforms, old, getattr(transforms, new))
