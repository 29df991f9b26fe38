"""The host's memory, or None where the kernel does not report it: unknown means neither none nor enough."""

from __future__ import annotations

from typing import Any

import psutil

from harness.errors import EngineError


def total_bytes() -> int | None:
    """Memory of the host."""
    facts = _facts()
    return None if facts is None else int(facts.total)


def available_bytes() -> int | None:
    """Memory that programs could have now."""
    facts = _facts()
    return None if facts is None else int(facts.available)


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
