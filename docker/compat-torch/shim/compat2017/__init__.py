"""Put back, at start-up, the library calls that published 2017 entries use and that were removed since.

Loaded by ``compat2017.pth`` (in an image) or ``sitecustomize.py`` (on PYTHONPATH) before the program's first line. It
must cost a program that imports none of these libraries nothing, so it only registers an import hook: a library is
patched right after it was itself imported. Calls that still exist and mean the same stay as they are; those that mean
something else today are in ``torch_meanings``. Editing the entries instead was rejected: an organiser wants the authors'
programs as submitted.
"""

# pathlib is an import that every program would wait for.
# ruff: noqa: PTH113, PTH123

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

#: Imported library -> module of this package whose ``patch`` repairs it.
PATCHES = {
    "numpy": "array_leftovers",
    "PIL.Image": "image_leftovers",
    "pandas": "pandas_leftovers",
    "scipy": "scipy_misc",
    "scipy.misc": "scipy_misc",
    "tensorflow": "tensorflow_v1",
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
        # First, as a patch may set what the library reads from the environment.
        patch = importlib.import_module(f"{__name__}.{self._patch}").patch
        if self._own:
            # Libraries that ask their spec for files or resources must see their own loader.
            if module.__spec__:
                module.__spec__.loader = self._own
            module.__loader__ = self._own
            self._own.exec_module(module)
        patch(module)


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
        if fullname == "keras" and importlib.util.find_spec("tf_keras"):
            importlib.import_module("tensorflow")
            return importlib.import_module(f"{__name__}.tensorflow_contrib").Finder().find_spec(fullname)
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


def _repair_imports() -> None:
    """Let modules through that only an older Python compiles (see ``sources``)."""
    loader = importlib.machinery.SourceFileLoader
    own = loader.source_to_code

    def source_to_code(self: Any, data: Any, path: Any, *args: Any, **options: Any) -> CodeType:  # noqa: ANN401
        try:
            return own(self, data, path, *args, **options)
        except SyntaxError:
            from . import sources  # noqa: PLC0415 - only a program that needs it waits for it

            return sources.compiled(lambda source: own(self, source, path, *args, **options), data)

    loader.source_to_code = source_to_code  # type: ignore[assignment]


def _repair_main_script() -> None:
    """The main script is none of the import system's business: it is looked at before it runs."""
    script = sys.argv[0] if getattr(sys, "argv", None) else ""
    if script in {"", "-", "-c", "-m"} or not os.path.isfile(script):
        return
    with open(script, "rb") as file:
        source = file.read()
    if b"\t" in source or b"async" in source:
        from . import sources  # noqa: PLC0415 - as above

        sources.start_again(script, source)


sys.meta_path.insert(0, _Finder())
_repair_imports()
_repair_main_script()
