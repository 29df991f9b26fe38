"""Put back, at start-up, the library calls that published 2017 PyTorch entries use and that were removed since.

Loaded by ``compat2017.pth`` (in an image) or ``sitecustomize.py`` (on PYTHONPATH) before the program's first line. It
must cost a program that imports none of these libraries nothing, so it only registers an import hook: a library is
patched right after it was itself imported. It changes no call that still exists and works, but ``torch.load`` (see
``torch_leftovers``). Editing the entries instead was rejected: an organiser wants the authors' programs as submitted.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

#: Imported library -> module of this package whose ``patch`` repairs it.
PATCHES = {
    "numpy": "array_leftovers",
    "PIL.Image": "image_leftovers",
    "scipy": "scipy_misc",
    "scipy.misc": "scipy_misc",
    "torch": "torch_leftovers",
    "torchvision.transforms": "transform_leftovers",
}


class _Patching(importlib.abc.Loader):
    """A loader that runs the library's own loader, then the patch."""

    def __init__(self, own: importlib.abc.Loader | None, patch: str) -> None:
        self._own = own
        self._patch = patch

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec) if self._own else None

    def exec_module(self, module: ModuleType) -> None:
        if self._own:
            # Libraries that ask their spec for files or resources must see their own loader.
            if module.__spec__:
                module.__spec__.loader = self._own
            module.__loader__ = self._own
            self._own.exec_module(module)
        importlib.import_module(f"{__name__}.{self._patch}").patch(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Answers for the libraries of ``PATCHES`` only, with what the other finders say."""

    def __init__(self) -> None:
        self._asking: set[str] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in PATCHES or fullname in self._asking:
            return None
        self._asking.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.discard(fullname)
        if spec is None:
            if fullname != "scipy.misc":
                return None
            # Later versions of scipy have no such module at all.
            return importlib.machinery.ModuleSpec(fullname, _Patching(None, PATCHES[fullname]))
        spec.loader = _Patching(spec.loader, PATCHES[fullname])
        return spec


sys.meta_path.insert(0, _Finder())
