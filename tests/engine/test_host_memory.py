"""The host's memory: what is known of it, and what slots may ask for."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from harness.engine import host_memory as hostmemory
from harness.errors import EngineError

GIB = 1 << 30


@pytest.mark.parametrize("error", [OSError(13, "no"), psutil.AccessDenied(), KeyError("MemTotal:"), ValueError(),
                                   NotImplementedError()])
def test_a_kernel_that_does_not_tell(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(psutil, "virtual_memory", fails)
    assert hostmemory.total_bytes() is None
    assert hostmemory.available_bytes() is None
    assert hostmemory.check_slots(1000, 1000 * GIB) == ""


def test_slots_against_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=8 * GIB))
    assert hostmemory.check_slots(4, 4 * GIB) == ""
    assert "5 runs of 4.0 GiB at the same time may need more than the 16.0 GiB" in hostmemory.check_slots(5, 4 * GIB)
    with pytest.raises(EngineError, match=r"One run may use 17.0 GiB of memory \(sandbox.memory\), and this host has 16.0 GiB"):
        hostmemory.check_slots(1, 17 * GIB)
