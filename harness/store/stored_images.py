"""Docker images in an artifact store: saved once by the machine that has one, loaded once by each that lacks it.

An archive goes in pieces, each compressed and under its own digest, so that no process holds an image of 6 GB in memory and no
object is larger than a store takes. A list of them is kept under the image's id. Whether what was loaded is that image the engine
tells, which gives the id by the content. Pieces are not kept in a machine's cache, which they would fill: they are read once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator

import zstandard

from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.event_log import facts
from harness.sandbox.base import MovableImages
from harness.store.blobs import Blobs, DamagedError

#: Bytes of an archive in one piece, before it is compressed.
PIECE_BYTES = 64 << 20
#: The lowest level: higher ones take longer than sending the difference over 1 Gbit/s.
_LEVEL = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")

_LOG = logging.getLogger(__name__)


class StoredImages:
    """Images of an engine and those in a store. All methods may be called from several threads at once.

    Args:
        blobs: The store, without a cache.
        engine: Of this machine.
    """

    def __init__(self, blobs: Blobs, engine: MovableImages) -> None:
        self._blobs = blobs
        self._engine = engine
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._here: set[str] = set()
        self._asked: set[str] = set()
        self._cancelled = threading.Event()

    def pull_names(self, ident: str) -> tuple[str, ...]:
        """As for the engine; none where it does not answer, as the store will do."""
        try:
            return self._engine.pull_names(ident)
        except EngineError:
            return ()

    def publish(self, ident: str) -> None:
        """Put an image into the store, unless it is there.

        Raises:
            ImageUnavailableError: It is not here.
            EngineError: The engine failed.
            StoreError: The store does not take it.
        """
        with self._one_at_a_time(ident):
            if self._blobs.has(_list_name(ident)):
                return
            if not self._engine.has_image(ident):
                raise ImageUnavailableError(f"The Docker image {ident[:19]} is on none of the machines asked for it.", "Load it.")
            _LOG.info("An image is saved for other machines.", extra=facts(image=ident))
            pieces = [self._save(piece) for piece in _pieces(self._engine.save_image(ident))]
            # Last: whoever finds it finds its pieces.
            self._blobs.save(_list_name(ident), json.dumps(pieces).encode())

    def bring(self, ident: str, pulls: Iterable[str] = ()) -> None:
        """See that an image is here: from a registry, else from the store.

        Args:
            ident: The image's id.
            pulls: Names with digests that registries may have it under.

        Raises:
            ImageUnavailableError: It is not here and not in the store.
            EngineError: The engine failed.
            StoreError: The store does not answer.
        """
        if ident in self._here:
            return
        with self._one_at_a_time(ident):
            if not (self._engine.has_image(ident) or self._pulled(ident, pulls)):
                self._load(ident)
            self._here.add(ident)

    def forget(self, idents: Iterable[str]) -> None:
        """Check again before the next run: one of them was removed from outside."""
        self._here.difference_update(idents)

    def cancel(self) -> None:
        """Cancel what is being loaded, which takes minutes; nothing is loaded after that."""
        self._cancelled.set()

    def _pulled(self, ident: str, pulls: Iterable[str]) -> bool:
        for name in pulls:
            if name in self._asked:  # in vain
                continue
            self._asked.add(name)
            try:
                self._engine.pull_image(name)
            except HarnessError as error:
                _LOG.info("An image could not be pulled from its registry.", extra=facts(image=ident, reason=error.problem))
            if self._engine.has_image(ident):
                _LOG.info("An image was pulled.", extra=facts(image=ident, name=name))
                return True
        return False

    def _load(self, ident: str) -> None:
        if not self._blobs.has(_list_name(ident)):
            raise ImageUnavailableError(f"The Docker image {ident[:19]} is neither on this host nor in the artifact store.",
                                        "Load it.")
        try:
            pieces = self._blobs.load(_list_name(ident), _listed)
            self._engine.load_image(self._fetched(pieces))
        except DamagedError as error:
            # It is saved again for whoever asks next.
            self._blobs.set_aside(_list_name(ident))
            raise EngineError(f"The Docker image {ident[:19]} cannot be fetched from the artifact store: {error}.",
                              "Run `harness run` again: it stores what is missing.") from None
        if not self._engine.has_image(ident):
            raise EngineError(f"The Docker image {ident[:19]} was loaded, and the engine here gives it another id.",
                              "Use one way of storing images (containerd or not) on all machines.")
        _LOG.info("An image was loaded from the store.", extra=facts(image=ident))

    def _fetched(self, pieces: Iterable[str]) -> Iterator[bytes]:
        for piece in pieces:
            if self._cancelled.is_set():
                raise EngineError("Loading a Docker image was cancelled.", "")
            yield self._blobs.load(_piece_name(piece), lambda data, own=piece: _unpacked(data, own))  # type: ignore[misc]

    def _save(self, piece: bytes) -> str:
        data = zstandard.ZstdCompressor(level=_LEVEL).compress(piece)
        sha256 = hashlib.sha256(data).hexdigest()
        if not self._blobs.has(_piece_name(sha256)):
            self._blobs.save(_piece_name(sha256), data)
        return sha256

    def _one_at_a_time(self, ident: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(ident, threading.Lock())


def _pieces(archive: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in archive:
        held += chunk
        while len(held) >= PIECE_BYTES:
            yield bytes(held[:PIECE_BYTES])
            del held[:PIECE_BYTES]
    if held:
        yield bytes(held)


def _listed(data: bytes) -> list[str]:
    try:
        pieces = json.loads(data)
    except ValueError:
        raise DamagedError("its list is no JSON") from None
    if not isinstance(pieces, list) or not all(isinstance(piece, str) and _SHA256.fullmatch(piece) for piece in pieces):
        raise DamagedError("its list is not one of digests")
    return pieces


def _unpacked(data: bytes, sha256: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedError("a piece does not match its digest")
    return zstandard.ZstdDecompressor().decompress(data, max_output_size=PIECE_BYTES)


def _list_name(ident: str) -> str:
    return f"docker/{ident.removeprefix('sha256:')}"


def _piece_name(sha256: str) -> str:
    return f"docker-pieces/{sha256[:2]}/{sha256}"
