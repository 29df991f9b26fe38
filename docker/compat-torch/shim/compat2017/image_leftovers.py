"""Pillow's filter names removed in version 10."""

from __future__ import annotations

from types import ModuleType

NAMES = {"ANTIALIAS": "LANCZOS", "LINEAR": "BILINEAR", "CUBIC": "BICUBIC"}


def patch(image: ModuleType) -> None:
    """Point each removed name at the filter it meant."""
    for old, new in NAMES.items():
        if not hasattr(image, old):
            setattr(image, old, getattr(image.Resampling, new))
