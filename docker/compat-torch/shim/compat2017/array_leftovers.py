"""numpy's aliases of Python types, removed in 1.24."""

from __future__ import annotations

from types import ModuleType

ALIASES = {"float": float, "int": int, "bool": bool, "object": object, "str": str}


def patch(numpy: ModuleType) -> None:
    """Add each alias that is missing (``vars``, as numpy's own ``__getattr__`` raises for them)."""
    for name, kind in ALIASES.items():
        if name not in vars(numpy):
            setattr(numpy, name, kind)
