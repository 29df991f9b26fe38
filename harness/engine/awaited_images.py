"""Runs that wait for a Docker image: a node lacks it, and this machine puts it into the artifact store first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from harness.engine.far_node import FarNode
from harness.execution.job import Finished, Job
from harness.store.stored_images import StoredImages


class AwaitedImages:
    """The images of this machine that nodes ask for.

    Args:
        images: Of this machine, and those in the store.
    """

    def __init__(self, images: StoredImages) -> None:
        self._images = images
        self._pulls: dict[str, tuple[str, ...]] = {}
        self._saving: dict[str, Future[None]] = {}
        self._held: list[tuple[FarNode, Finished]] = []

    def named(self, job: Job) -> Job:
        """A job with the names that registries may have its images under."""
        for ident in job.images - self._pulls.keys():
            self._pulls[ident] = self._images.pull_names(ident)
        return replace(job, pulls={ident: self._pulls[ident] for ident in job.images}) if job.images else job

    def hold(self, node: FarNode, finished: Finished) -> None:
        """Keep a run whose image nobody has stored yet, until this machine has."""
        ident = finished.result.lacking
        saving = self._saving.get(ident)
        if saving is None or (saving.done() and saving.exception() is None):  # it has been there, and is gone or was late
            self._saving[ident] = _begun(self._images.publish, ident)
        node.awaits[ident] += 1
        self._held.append((node, finished))

    def settled(self) -> list[tuple[FarNode, Finished, BaseException | None]]:
        """The runs whose image is stored by now, or why it is not; they are kept no longer."""
        found = []
        for node, finished in [entry for entry in self._held if self._saving[entry[1].result.lacking].done()]:
            self._held.remove((node, finished))
            node.awaits[finished.result.lacking] -= 1
            found.append((node, finished, self._saving[finished.result.lacking].exception()))
        return found


def _begun(work: Callable[[str], None], ident: str) -> Future[None]:
    """Work in a thread that does not hold up the end of the command, which may come while an image is saved."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work(ident)
        except Exception as error:  # noqa: BLE001 - the border of a thread: whoever asks for the result gets it
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="save image", daemon=True).start()
    return future
