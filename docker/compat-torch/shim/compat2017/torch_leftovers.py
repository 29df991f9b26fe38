"""What torch 0.2 and 0.3 had, 2017 entries call, and torch 2 lacks.

Where no GPU is, moving to one is the identity; ``torch.cuda.is_available`` stays honest, so that an entry which asks
takes its own road. Where a GPU is, none of the ``cuda`` calls is touched.
"""

# ruff: noqa: ANN401 - the repaired functions take anything

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

KINDS = ("Float", "Double", "Half", "Byte", "Char", "Short", "Int", "Long")


def zero_gradients(x: Any) -> None:
    """Zero the ``grad`` of a tensor, or of each tensor in an iterable (torch < 1.9)."""
    if hasattr(x, "grad"):
        if x.grad is not None:
            x.grad.detach_()
            x.grad.zero_()
        return
    for each in x:
        zero_gradients(each)


def _itself() -> Callable[..., Any]:
    return lambda self, *_args, **_options: self


def _nothing() -> Callable[..., None]:
    # One function per name: torch keeps rules by function, and refuses one function under two rules.
    return lambda *_args, **_options: None


def _without_gpu(torch: ModuleType) -> None:
    torch.Tensor.cuda = _itself()
    torch.nn.Module.cuda = _itself()
    for name in ("set_device", "synchronize"):
        setattr(torch.cuda, name, _nothing())
    on_gpu = {}
    for kind in KINDS:
        on_gpu[getattr(torch.cuda, f"{kind}Tensor")] = on_gpu[f"torch.cuda.{kind}Tensor"] = f"torch.{kind}Tensor"
    own_type = torch.Tensor.type

    @functools.wraps(own_type)
    def type_(self: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
        if isinstance(dtype, (str, type(torch.FloatTensor))):
            dtype = on_gpu.get(dtype, dtype)
        return own_type(self, *args, **options) if dtype is None else own_type(self, dtype, *args, **options)

    torch.Tensor.type = type_
    for kind in KINDS:
        setattr(torch.cuda, f"{kind}Tensor", getattr(torch, f"{kind}Tensor"))


def _scalars(torch: ModuleType) -> None:
    """``loss.data[0]``: a scalar was a tensor of one element until torch 0.4."""
    own = torch.Tensor.__getitem__

    @functools.wraps(own)
    def getitem(self: Any, index: Any) -> Any:
        try:
            return own(self, index)
        except IndexError:
            if self.dim() == 0 and type(index) is int and index in (0, -1):
                return self.item()
            raise

    torch.Tensor.__getitem__ = getitem


def _loading(torch: ModuleType, gpu: bool) -> None:
    """Load whole pickled models (the default changed in 2.6; the sandbox is the protection), and GPU checkpoints."""
    own = torch.load

    @functools.wraps(own)
    def load(f: Any, map_location: Any = None, *args: Any, **options: Any) -> Any:
        options.setdefault("weights_only", False)
        return own(f, map_location if gpu or map_location is not None else "cpu", *args, **options)

    torch.load = load


def _volatile(torch: ModuleType) -> None:
    """``Variable(x, volatile=True)`` meant: keep no graph from here on. Nearest: a tensor without ``requires_grad``."""
    own = torch.autograd.Variable

    class Variable(own, metaclass=type(own)):  # type: ignore[misc,valid-type]
        """``torch.autograd.Variable`` that takes ``volatile``; makes tensors, as the original does since 0.4."""

        def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
            return own(data, requires_grad=requires_grad and not volatile)

    torch.autograd.Variable = Variable
    torch.autograd.variable.Variable = Variable


def patch(torch: ModuleType) -> None:
    """Repair a torch that was just imported."""
    gradcheck = sys.modules["torch.autograd.gradcheck"]
    # torch.autograd.gradcheck names the module for ``from ... import`` and the function for an attribute: serve both.
    for holder in (gradcheck, torch.autograd.gradcheck):
        if not hasattr(holder, "zero_gradients"):
            holder.zero_gradients = zero_gradients
    functional = torch.nn.functional
    for name in ("sigmoid", "tanh"):
        if not hasattr(functional, name):
            setattr(functional, name, getattr(torch, name))
    if not hasattr(functional, "upsample"):
        functional.upsample = functional.interpolate
    gpu = torch.cuda.is_available()
    if not gpu:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _without_gpu(torch)
    _scalars(torch)
    _loading(torch, gpu)
    _volatile(torch)
