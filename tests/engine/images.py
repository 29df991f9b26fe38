"""A process sandbox whose programs need images, which are files that a machine has or not; no Docker."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import EngineError, ImageUnavailableError
from harness.sandbox.process import ProcessSandbox

#: What an image holds; its id ends in how it behaves.
CONTENT = b"layers" * 1000


class ImageFiles:
    """Images of one machine. ``shared`` is seen by all, to tell what was done, and by whom."""

    def __init__(self, own: Path, shared: Path) -> None:
        self.own, self.shared = own, shared
        own.mkdir(parents=True, exist_ok=True)

    def add(self, ident: str) -> None:
        (self.own / ident).write_bytes(CONTENT)

    def done(self, what: str) -> int:
        return len(list((self.shared / what).glob("*"))) if (self.shared / what).exists() else 0

    def _tell(self, what: str) -> None:
        (self.shared / what).mkdir(exist_ok=True)
        (self.shared / what / secrets.token_hex(8)).touch()  # two machines may tell at once

    def has_image(self, ident: str) -> bool:
        return (self.own / ident).exists()

    def pull_names(self, ident: str) -> tuple[str, ...]:
        return (f"registry/{ident}", "registry/other") if "registry" in ident else ()

    def pull_image(self, name: str) -> None:
        self._tell("pulled")
        if "closed" in name or "other" in name:
            raise ImageUnavailableError("The registry has none.", "")
        self.add(name.removeprefix("registry/"))

    def save_image(self, ident: str) -> Iterator[bytes]:
        self._tell(f"saved-{ident}")
        yield ident.encode() + b"\n"
        yield (self.own / ident).read_bytes()

    def load_image(self, archive: Iterable[bytes]) -> None:
        name, _, content = b"".join(archive).partition(b"\n")
        ident = name.decode()
        self._tell(f"loaded-{ident}")
        if "never" in ident or ("once" in ident and self._first(f"refused-{ident}")):
            raise EngineError("There is no room for it.", "")
        assert content == CONTENT
        if "renamed" not in ident:
            self.add(ident)

    def _first(self, name: str) -> bool:
        with contextlib.suppress(FileExistsError), (self.shared / name).open("x"):
            return True
        return False


class ImageSandbox(ImageFiles, ProcessSandbox):
    def __init__(self, scratch: Path, *, shared: Path) -> None:
        ImageFiles.__init__(self, scratch.parent / "image-files", shared)
        ProcessSandbox.__init__(self, scratch)
