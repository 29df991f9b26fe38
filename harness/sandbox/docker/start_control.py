"""A start that failed with an unknown message: the host's fault, or the image's?

A host error is retried and makes its slot back off, so an image that provokes one on purpose (a volume over /dev, an environment
that no message of the engine holds) could keep a contest from its end. A list of sentences is never complete; an experiment is: the
start is repeated, and where it fails in the same words while a program in another image, which has started here before, is found to
be missing as it should, the image is at fault.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from docker import APIClient

from harness.sandbox.docker import failures
from harness.sandbox.docker.container import Container
from harness.sandbox.docker.images import ImageFacts
from harness.sandbox.docker.options import Start
from harness.sandbox.outcomes import Ending
from harness.sandbox.protocol import LineReader
from harness.sandbox.running import NotStartedError
from harness.sandbox.watch import Verdict

_NOWHERE = "/harness-control-that-is-not-there"
#: What differs between two failures of the same kind: identifiers, addresses, numbers, and of several paths that are in the way
#: the one that came first (runc sets a container's kernel settings in a random order).
_CHANGING = re.compile(r"/\S*|[0-9a-f]{8,}|\d+")


@dataclass
class LastGoodImage:
    """What has been seen to start. ``image``: the last one that did."""

    image: ImageFacts | None = None


def started(api: APIClient, start: Start, orphans: list[str], known: LastGoodImage, reader: LineReader | None = None) -> Container:
    """As ``Container.started``, with an experiment for unknown failures.

    Raises:
        NotStartedError: With the reason.
    """
    try:
        container = Container.started(api, start, orphans, reader)
    except NotStartedError as error:
        verdict = error.verdict
        if verdict.ending is Ending.HOST_ERROR and _is_the_images(api, start, orphans, known, verdict.detail):
            raise NotStartedError(Verdict(Ending.START_FAILED, f"The image cannot be started here: {verdict.detail}")) from error
        raise
    known.image = start.image
    return container


def _is_the_images(api: APIClient, start: Start, orphans: list[str], known: LastGoodImage, detail: str) -> bool:
    good = known.image
    if good is None or good.ident == start.image.ident or failures.says_the_host(detail):
        return False
    again = _failure(api, start, orphans)
    if again is None or _CHANGING.sub("", again.detail) != _CHANGING.sub("", detail):
        return False
    program = dataclasses.replace(start.program, code_dir=None)
    control = _failure(api, dataclasses.replace(start, program=program, image=good, argv=[_NOWHERE]), orphans)
    return control is not None and control.ending is Ending.START_FAILED and _NOWHERE in control.detail


def _failure(api: APIClient, start: Start, orphans: list[str]) -> Verdict | None:
    try:
        Container.started(api, start, orphans).remove()
    except NotStartedError as error:
        return error.verdict
    return None
