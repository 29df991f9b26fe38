"""numpy's names of 2017 that were removed in 1.24 and 2.0."""

from __future__ import annotations

from types import ModuleType

ALIASES = {"float": float, "int": int, "bool": bool, "object": object, "str": str, "long": int, "unicode": str}
RENAMED = {
    "float_": "float64", "complex_": "complex128", "string_": "bytes_", "unicode_": "str_", "Inf": "inf", "Infinity": "inf",
    "infty": "inf", "NaN": "nan", "product": "prod", "cumproduct": "cumprod", "sometrue": "any", "alltrue": "all",
    "round_": "round", "row_stack": "vstack", "in1d": "isin",
}  # fmt: skip


def patch(numpy: ModuleType) -> None:
    """Add each name that is missing (``vars``, as numpy's own ``__getattr__`` raises for them)."""
    names = ALIASES | {old: getattr(numpy, new) for old, new in RENAMED.items()}
    names["asscalar"] = lambda array: array.item()
    for name, value in names.items():
        if name not in vars(numpy):
            setattr(numpy, name, value)
