"""The host's memory, or None where the kernel does not report it: unknown means neither none nor enough."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import psutil

from harness.errors import EngineError
from harness.event_log import facts

#: Share of the host's memory below which little is left.
_LITTLE = 0.1
_LOOK_EVERY_S = 1.0
_END_S = 30.0

_LOG = logging.getLogger(__name__)


def total_bytes() -> int | None:
    """Memory of the host."""
    facts = _facts()
    return None if facts is None else int(facts.total)


def available_bytes() -> int | None:
    """Memory that programs could have now."""
    facts = _facts()
    return None if facts is None else int(facts.available)


def is_short() -> bool:
    """Whether little is left for whoever needs more; where the kernel does not say, it is not."""
    found = _facts()
    return found is not None and found.available < _LITTLE * found.total


class Relief:
    """Gives memory back while the host is short of it: what was free at the start others may want later, or runs themselves.

    Args:
        give_back: Gives one piece back; False where there is none.
        every_s: Between two looks.
    """

    def __init__(self, give_back: Callable[[], bool], every_s: float = _LOOK_EVERY_S) -> None:
        self._give_back = give_back
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="memory", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.wait(self._every_s):
            given = 0
            while not self._ended.is_set() and is_short() and self._give_back():
                given += 1
            if given:
                _LOG.info("The host is short of memory: idle programs were closed.", extra=facts(
                    programs=given, available=available_bytes()))

    def close(self) -> None:
        """Look no more; what is being given back is, but for an engine that does not answer."""
        self._ended.set()
        self._thread.join(_END_S)


def check_slots(slots: int, memory_bytes: int) -> str:
    """A sentence where all slots together may use more than there is, else none.

    Raises:
        EngineError: One run alone may use more than the host has.
    """
    total = total_bytes()
    if total is None or slots * memory_bytes <= total:
        return ""
    if memory_bytes > total:
        raise EngineError(f"One run may use {_gib(memory_bytes)} of memory (sandbox.memory), and this host has {_gib(total)}.",
                          "Lower sandbox.memory, or run on a larger host.")
    return (f"{slots} runs of {_gib(memory_bytes)} at the same time may need more than the {_gib(total)} of this host; if they "
            "do, one entry's memory use can end another's run. Lower sandbox.memory or workers.slots.")


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"


def _facts() -> Any:  # noqa: ANN401 - psutil has no type of it that all platforms share
    try:
        return psutil.virtual_memory()
    except (psutil.Error, OSError, KeyError, ValueError, NotImplementedError):
        return None
