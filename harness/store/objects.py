"""Contents in an object store (S3, Google Cloud Storage, Azure), through ``obstore``, which is an extra.

Nothing is ever overwritten: each write asks for the name to be free. A store may also answer that two writers met (409), which
says nothing of whether either has written; so whoever is refused looks, and tries again where nothing is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from harness.errors import StoreError
from harness.store.blobs import DamagedError, damaged_name

#: Attempts to write one object that may collide with others before it is an error.
_MEETINGS = 5
_RETRIES, _PATIENCE = 8, timedelta(seconds=60)
_INSTALL = "Install it with `pip install 'harness[cluster]'`."
_CHECK = ("Check that URL, the credentials in the environment (such as AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL), and "
          "that the bucket exists.")

_T = TypeVar("_T")


class ObjectBlobs:
    """An object store.

    Args:
        url: Like ``s3://bucket/prefix``; credentials and endpoint come from the environment.

    Raises:
        StoreError: ``obstore`` is not installed, or the store does not answer.
    """

    def __init__(self, url: str) -> None:
        try:
            import obstore  # noqa: PLC0415 - an extra: imported only where it is asked for
            from obstore.exceptions import BaseError  # noqa: PLC0415
            from obstore.store import from_url  # noqa: PLC0415
        except ImportError:
            raise StoreError(f"{url} needs the package obstore, which is not installed.", _INSTALL) from None
        self._url = url
        self._errors = BaseError
        self._library = obstore
        with self._explained():
            self._store = from_url(url, retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE})
            # A missing bucket is found now, not by every run.
            next(iter(obstore.list(self._store, chunk_size=1)), None)

    def has(self, name: str) -> bool:
        """Whether there is an object of that name."""
        return self._size(name) is not None

    def save(self, name: str, data: bytes) -> int:
        """Create an object unless it is there."""
        for _ in range(_MEETINGS):
            with self._explained():
                try:
                    self._library.put(self._store, name, data, mode="create", use_multipart=False)
                except self._library.exceptions.AlreadyExistsError:
                    if (size := self._size(name)) is not None:
                        return size
                else:
                    return len(data)
        raise StoreError(f"{self._url} does not take {name}: it reports another writer each time, and there is none.",
                         "Run `harness run` again; nothing recorded is lost.")

    def load(self, name: str, check: Callable[[bytes], _T]) -> _T:
        """Read and check an object."""
        with self._explained():
            try:
                data = bytes(self._library.get(self._store, name).bytes())
            except FileNotFoundError:
                raise DamagedError("it is not in the object store") from None
        try:
            return check(data)
        except DamagedError:
            self.set_aside(name)
            raise

    def set_aside(self, name: str) -> None:
        """Rename an object."""
        with self._explained():
            try:
                self._library.rename(self._store, name, damaged_name(name))
            except FileNotFoundError:
                return

    def _size(self, name: str) -> int | None:
        with self._explained():
            try:
                return int(self._library.head(self._store, name)["size"])
            except FileNotFoundError:
                return None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (self._errors, OSError) as error:
            said = str(error).split("\n", 1)[0].strip()
            raise StoreError(f"The object store {self._url} cannot be used: {said}.", _CHECK) from None
