"""What torch 0.2 and 0.3 had, 2017 entries call, and torch 2 lacks.

Where no GPU is, moving to one is the identity; ``torch.cuda.is_available`` stays honest, so that an entry which asks
takes its own road. Where a GPU is, none of the ``cuda`` calls is touched.
"""

# ruff: noqa: ANN401 - the repaired functions take anything

from __future__ import annotations

import functools
import re
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import torch_meanings

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
    """``Variable(x, volatile=True)`` meant: keep no graph of whatever this is part of, the nets' parameters included."""

    class Volatile(torch.Tensor):  # type: ignore[misc,name-defined]
        """A tensor whose results are volatile as well, and computed without a graph; its ``data`` is a plain tensor."""

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            with torch.no_grad():
                made = super().__torch_function__(func, types, args, kwargs or {})
            return made.as_subclass(torch.Tensor) if func == torch.Tensor.data.__get__ else made

    own = torch.autograd.Variable

    class Variable(own, metaclass=type(own)):  # type: ignore[misc,valid-type]
        """``torch.autograd.Variable`` that takes ``volatile``; makes tensors, as the original does since 0.4."""

        def __new__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
            plain = data.as_subclass(torch.Tensor) if isinstance(data, Volatile) else data
            if volatile:
                return plain.detach().as_subclass(Volatile)
            return own(plain, requires_grad=requires_grad)

    torch.autograd.Variable = Variable
    torch.autograd.variable.Variable = Variable
    torch.Tensor.volatile = property(lambda self: isinstance(self, Volatile))


def _tensors(torch: ModuleType) -> None:
    """Methods and arguments that are gone."""

    def permute_(self: Any, *dims: Any) -> Any:
        view = self.permute(*dims)
        return self.as_strided_(view.size(), view.stride(), view.storage_offset())

    if not hasattr(torch.Tensor, "permute_"):
        torch.Tensor.permute_ = permute_
    own_normal = torch.normal

    @functools.wraps(own_normal)
    def normal(*args: Any, **options: Any) -> Any:
        if "means" in options:
            options["mean"] = options.pop("means")
        if "mean" in options and args:
            # Where the mean is named, what stands in front can only be the deviation.
            options["std"], args = args[0], args[1:]
        return own_normal(*args, **options)

    torch.normal = normal
    iterator = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter  # noqa: SLF001 - what ``iter(loader)`` gives
    if not hasattr(iterator, "next"):
        iterator.next = iterator.__next__


def _names(torch: ModuleType) -> None:
    """Modules with dots in their names (torchvision's densenet until 0.2), and its weights under either name."""
    module = torch.nn.Module
    own_add = module.add_module

    @functools.wraps(own_add)
    def add_module(self: Any, name: str, child: Any) -> None:
        if isinstance(name, str) and "." in name and (child is None or isinstance(child, module)):
            self._modules[name] = child
        else:
            own_add(self, name, child)

    module.add_module = add_module
    own_take = module._load_from_state_dict  # noqa: SLF001 - what looks for unexpected keys takes names apart at the dots

    @functools.wraps(own_take)
    def take(self: Any, state_dict: Any, prefix: str, *args: Any) -> None:
        own_take(self, state_dict, prefix, *args)
        dotted = tuple(f"{prefix}{name}." for name in self._modules if "." in name)
        if dotted:
            unexpected = args[3]
            unexpected[:] = [key for key in unexpected if not key.startswith(dotted)]

    module._load_from_state_dict = take  # noqa: SLF001
    own_load = module.load_state_dict

    @functools.wraps(own_load)
    def load_state_dict(self: Any, state_dict: Any, *args: Any, **options: Any) -> Any:
        if any("denselayer" in str(key) for key in state_dict):
            wanted = self.state_dict().keys()
            renamed = type(state_dict)((_densenet_key(key, wanted), value) for key, value in state_dict.items())
            if hasattr(state_dict, "_metadata"):
                renamed._metadata = state_dict._metadata  # noqa: SLF001 - versions of the layers, which torch keeps there
            state_dict = renamed
        return own_load(self, state_dict, *args, **options)

    module.load_state_dict = load_state_dict


def _densenet_key(key: str, wanted: Any) -> str:
    """The name that a net has for a weight: ``norm.1`` and ``norm1`` are one."""
    if key in wanted:
        return key
    for pattern, other in ((r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2."),
                           (r"(denselayer\d+\.(?:norm|relu|conv))([12])\.", r"\1.\2.")):  # fmt: skip
        renamed = re.sub(pattern, other, key)
        if renamed != key and renamed in wanted:
            return renamed
    return key


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
    gpu = torch.cuda.is_available()
    if not gpu:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _without_gpu(torch)
    _scalars(torch)
    _loading(torch, gpu)
    _volatile(torch)
    _tensors(torch)
    _names(torch)
    torch_meanings.patch(torch)
