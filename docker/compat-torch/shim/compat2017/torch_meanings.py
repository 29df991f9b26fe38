"""Calls of torch 0.2 and 0.3 that still exist and mean something else today: nothing fails, and the results are others.

Each is put back as it was then, for the entry's own code only: libraries here are written for today's torch, and a call
that comes from one of them keeps today's meaning. Where no gradient is asked for, today's own code runs.

- ``clamp`` with two bounds passed the gradient on at the bounds themselves; today it is zero there. An attack that starts
  at white or black pixels never moves them. (With one bound it was zero then, too.)
- ``max`` and ``min`` of two tensors gave the gradient of a tie to the second; today each gets half.
- ``upsample``, ``Upsample``, ``affine_grid`` and ``grid_sample`` aligned the corners (until 0.4 and 1.3).
- ``functional.dropout`` and its kin dropped nothing unless told ``training=True``.
- Integers divided by integers gave integers, towards zero; ``arange`` gave floats, so that ``arange(n) / n`` did not.
- Comparisons gave bytes: masks were added (0, 1, 2) and taken from 1.
- ``zero_grad`` left gradients of zero, not none.
- An element of a vector was a number, and printed as one; a sum was an array of one element.
"""

# ruff: noqa: ANN401 - the repaired functions take anything

from __future__ import annotations

import functools
import operator
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

TODAY = frozenset({"torch", "torchvision", "torchaudio", "timm", "kornia", "foolbox", "torchattack", "safetensors", "field_kit"})
LINEAR = frozenset({"linear", "bilinear", "trilinear"})


def from_entry(depth: int = 2) -> bool:
    """Whether the caller of the function that asks is no library written for today's torch."""
    name = sys._getframe(depth).f_globals.get("__name__") or ""  # noqa: SLF001 - there is no other way to ask
    return name.partition(".")[0] not in TODAY


def replace(holders: Sequence[Any], name: str, make: Callable[[Any], Any]) -> None:
    """Replace a function of the same name in each holder (the module's, the method) by what ``make`` makes of it."""
    for holder in holders:
        own = getattr(holder, name, None)
        if own is not None:
            setattr(holder, name, functools.wraps(own)(make(own)))


def _grows(torch: ModuleType, *tensors: Any) -> bool:
    """Whether a graph is kept of what is done with them."""
    return torch.is_grad_enabled() and any(getattr(each, "requires_grad", False) for each in tensors)


def _clamp(torch: ModuleType) -> None:
    def clamp(own: Any) -> Any:
        def old(x: Any, min: Any = None, max: Any = None, **options: Any) -> Any:  # noqa: A002 - the names callers pass
            if min is not None and max is not None and not options and _grows(torch, x) and from_entry():
                return torch.where((x >= min) & (x <= max), x, own(x.detach(), min, max))
            return own(x, min, max, **options)

        return old

    own_clamp = torch.clamp

    def clamp_(own: Any) -> Any:
        def old(x: Any, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - the names callers pass
            if min is not None and max is not None and _grows(torch, x) and not x.is_leaf and from_entry():
                before = x.clone()
                return x.copy_(torch.where((before >= min) & (before <= max), before, own_clamp(before.detach(), min, max)))
            return own(x, min, max)

        return old

    replace([torch, torch.Tensor], "clamp", clamp)
    replace([torch, torch.Tensor], "clamp_", clamp_)


def _extremes(torch: ModuleType) -> None:
    def extreme(first: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        def make(own: Any) -> Any:
            def old(x: Any, *args: Any, **options: Any) -> Any:
                other = args[0] if len(args) == 1 and not options else None
                if isinstance(other, torch.Tensor) and _grows(torch, x, other) and from_entry():
                    return torch.where(first(x, other), x, other)
                return own(x, *args, **options)

            return old

        return make

    replace([torch, torch.Tensor], "max", extreme(operator.gt))
    replace([torch, torch.Tensor], "min", extreme(operator.lt))


def _zero_grad(torch: ModuleType) -> None:
    def zero_grad(own: Any) -> Any:
        def old(self: Any, set_to_none: bool = False) -> Any:
            return own(self, set_to_none=set_to_none)

        return old

    replace([torch.nn.Module, torch.optim.Optimizer], "zero_grad", zero_grad)


def _corners(torch: ModuleType) -> None:
    functional = torch.nn.functional

    def upsample(
        input: Any,  # noqa: A002 - the name callers pass
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> Any:
        if align_corners is None and mode in LINEAR:
            align_corners = True
        return functional.interpolate(input, size, scale_factor, mode, align_corners)

    functional.upsample = upsample

    def init(own: Any) -> Any:
        def old(self: Any, *args: Any, **options: Any) -> None:
            own(self, *args, **options)
            if self.align_corners is None and self.mode in LINEAR and from_entry():
                self.align_corners = True

        return old

    replace([torch.nn.Upsample], "__init__", init)

    def aligned(own: Any) -> Any:
        def old(*args: Any, **options: Any) -> Any:
            if options.get("align_corners") is None and not any(isinstance(each, bool) for each in args) and from_entry():
                options["align_corners"] = True
            return own(*args, **options)

        return old

    for name in ("affine_grid", "grid_sample"):
        replace([functional], name, aligned)


def _defaults(torch: ModuleType) -> None:
    def dropout(own: Any) -> Any:
        def old(input: Any, p: float = 0.5, training: bool | None = None, inplace: bool = False) -> Any:  # noqa: A002
            return own(input, p, (not from_entry()) if training is None else training, inplace)

        return old

    for name in ("dropout", "dropout2d", "dropout3d", "alpha_dropout"):
        replace([torch.nn.functional], name, dropout)

    def arange(own: Any) -> Any:
        def old(*args: Any, **options: Any) -> Any:
            if options.get("dtype") is None and options.get("out") is None and from_entry():
                options["dtype"] = torch.get_default_dtype()
            return own(*args, **options)

        return old

    replace([torch], "arange", arange)


def _division(torch: ModuleType) -> None:
    whole = {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
    own_div, own_div_ = torch.div, torch.Tensor.div_

    def integral(value: Any) -> bool:
        return value.dtype in whole if isinstance(value, torch.Tensor) else type(value) is int

    def old_division(a: Any, b: Any) -> bool:
        # An element of a vector, and a sum, were Python's numbers, and divide as these do.
        vectors = getattr(a, "ndim", 0) or getattr(b, "ndim", 0)
        return bool(vectors) and integral(a) and integral(b) and from_entry(3)

    def divide(own: Any) -> Any:
        def old(a: Any, b: Any, **options: Any) -> Any:
            return own_div(a, b, rounding_mode="trunc") if not options and old_division(a, b) else own(a, b, **options)

        return old

    def divide_in_place(own: Any) -> Any:
        def old(a: Any, b: Any, **options: Any) -> Any:
            return own_div_(a, b, rounding_mode="trunc") if not options and old_division(a, b) else own(a, b, **options)

        return old

    def number_by(own: Any) -> Any:
        def old(a: Any, b: Any) -> Any:
            return own_div(torch.full_like(a, b), a, rounding_mode="trunc") if old_division(a, b) else own(a, b)

        return old

    replace([torch, torch.Tensor], "div", divide)
    replace([torch.Tensor], "__truediv__", divide)
    replace([torch.Tensor], "__rtruediv__", number_by)
    for name in ("div_", "__itruediv__"):
        replace([torch.Tensor], name, divide_in_place)


def _masks(torch: ModuleType) -> None:
    def as_bytes(value: Any) -> Any:
        return value.byte() if isinstance(value, torch.Tensor) and value.dtype is torch.bool else value

    def counted(own: Any) -> Any:
        def old(a: Any, b: Any, *args: Any, **options: Any) -> Any:
            mask = isinstance(a, torch.Tensor) and a.dtype is torch.bool
            if mask and (isinstance(b, int) or getattr(b, "dtype", None) in {torch.bool, torch.uint8}) and from_entry():
                return own(as_bytes(a), as_bytes(b), *args, **options)
            return own(a, as_bytes(b) if getattr(a, "dtype", None) is torch.uint8 else b, *args, **options)

        return old

    for name in ("__add__", "__radd__", "__sub__", "__rsub__", "add", "sub"):
        replace([torch.Tensor], name, counted)
    for name in ("add", "sub"):
        replace([torch], name, counted)

    def by_bytes(own: Any) -> Any:
        def old(x: Any, mask: Any, *args: Any, **options: Any) -> Any:
            return own(x, mask.bool() if getattr(mask, "dtype", None) is torch.uint8 else mask, *args, **options)

        return old

    for name in ("masked_fill", "masked_fill_", "masked_select", "masked_scatter", "masked_scatter_"):
        replace([torch, torch.Tensor], name, by_bytes)


def _numbers(torch: ModuleType) -> None:
    def representation(own: Any) -> Any:
        def old(self: Any, **options: Any) -> str:
            if not options and self.dim() == 0 and not self.is_meta and not self.requires_grad:
                return repr(self.item())
            return str(own(self, **options))

        return old

    replace([torch.Tensor], "__repr__", representation)

    def as_array(own: Any) -> Any:
        def old(self: Any, **options: Any) -> Any:
            made = own(self, **options)
            return made.reshape(1) if made.ndim == 0 and from_entry() else made

        return old

    replace([torch.Tensor], "numpy", as_array)


def patch(torch: ModuleType) -> None:
    """Give a torch that was just imported its old meanings."""
    for part in (_clamp, _extremes, _zero_grad, _corners, _defaults, _division, _masks, _numbers):
        part(torch)
