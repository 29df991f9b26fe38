"""The host's memory: what is known of it, and what slots may ask for."""

from __future__ import annotations

import threading
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


@pytest.mark.parametrize(("available", "short"), [(1.5 * GIB, True), (1.7 * GIB, False)])
def test_a_host_is_short_of_memory_below_a_tenth(monkeypatch: pytest.MonkeyPatch, available: float, short: bool) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=available))
    assert hostmemory.is_short() is short


def test_memory_is_given_back_piece_by_piece_until_the_host_has_enough_again(monkeypatch: pytest.MonkeyPatch) -> None:
    left, enough = [1.0 * GIB], threading.Event()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=left[0]))

    def give_back() -> bool:
        left[0] += 0.25 * GIB
        if left[0] >= 0.1 * 16 * GIB:
            enough.set()
        return True

    relief = hostmemory.Relief(give_back, every_s=0.001)
    try:
        assert enough.wait(10)
        assert left[0] == 1.75 * GIB
    finally:
        relief.close()


def test_where_nothing_is_left_to_give_back_it_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=16 * GIB, available=0))
    asked, twice = [0], threading.Event()

    def nothing() -> bool:
        asked[0] += 1
        if asked[0] > 1:
            twice.set()
        return False

    relief = hostmemory.Relief(nothing, every_s=0.001)
    try:
        assert twice.wait(10)
    finally:
        relief.close()
