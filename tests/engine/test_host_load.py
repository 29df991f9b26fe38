"""The host's load during a run, from samples."""

from __future__ import annotations

import os
import threading
import time

import pytest

from harness.engine import host_load as hostload
from harness.engine.host_load import HostLoad, Load


def test_a_busy_host_and_a_stopped_harness_are_overloaded() -> None:
    assert Load(2.5, 1.0).overloaded
    assert Load(0.5, 6.0).overloaded
    assert not Load(1.5, 1.2).overloaded


def test_samples_since_the_beginning_of_a_run_count(monkeypatch) -> None:
    sampled = threading.Event()
    monkeypatch.setattr(hostload, "_EVERY_S", 0.01)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)

    def sample() -> int:
        sampled.set()
        return 12

    load = HostLoad(sample)
    began = time.monotonic()
    sampled.wait(10)
    sampled.clear()
    sampled.wait(10)
    assert load.since(began).per_core == 3.0
    load.close()
    assert load.since(time.monotonic() + 1).per_core == 3.0


def test_a_run_between_two_samples_asks_the_kernel_only_where_the_last_answer_is_old(monkeypatch) -> None:
    asked: list[int] = []

    def sample() -> int:
        asked.append(1)
        return 8

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    load = HostLoad(sample)
    load.close()
    asked.clear()
    load._samples.clear()
    load._samples.append((time.monotonic(), 4))
    began = time.monotonic() + 1e-9
    assert (load.since(began).per_core, asked) == (1.0, [])
    load._samples[-1] = (time.monotonic() - 10, 4)
    assert (load.since(began).per_core, asked) == (2.0, [1])


@pytest.mark.parametrize("said", [None, "", "procs_running\n", "procs_running x\n", "cpu 1 2\n"])
def test_a_kernel_that_does_not_say_is_not_a_quiet_host(tmp_path, monkeypatch, said) -> None:
    if said is not None:
        (tmp_path / "stat").write_text(said)
    monkeypatch.setattr(hostload, "_STAT", tmp_path / "stat")
    assert hostload.runnable_threads() is None
    load = HostLoad()
    seen = load.since(time.monotonic())
    load.close()
    assert seen.per_core is None
    assert seen.overloaded


def test_the_kernel_says_how_many_threads_are_runnable() -> None:
    assert hostload.runnable_threads() >= 1
