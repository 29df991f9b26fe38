"""GPUs as slots, with the text that nvidia-smi prints; no GPU is needed."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from harness.config import TournamentConfig
from harness.doctor import gpu as doctor_gpu
from harness.engine.gpu import Settling, detect, make_slots, of_kind, parse
from harness.engine.node import choose_slots
from harness.errors import EngineError
from harness.execution.job import Slot

TEXT = """0, GPU-aaaa, NVIDIA H200, 570.86.15, 143771, 12, 1980
1, GPU-bbbb, NVIDIA H200, 570.86.15, 143771, 0, [N/A]
"""
GPUS = parse(TEXT)


def test_the_driver_s_text_is_read() -> None:
    assert [(g.index, g.uuid, g.driver, g.memory_total_mib, g.clock_mhz) for g in GPUS] == [
        ("0", "GPU-aaaa", "570.86.15", 143771, 1980), ("1", "GPU-bbbb", "570.86.15", 143771, 0)]
    assert parse("") == parse("No devices were found") == ()


@pytest.mark.parametrize(("wanted", "per_gpu", "expected"), [
    ("auto", 1, [("gpu0", "GPU-aaaa"), ("gpu1", "GPU-bbbb")]),
    ("auto", 2, [("gpu0.0", "GPU-aaaa"), ("gpu0.1", "GPU-aaaa"), ("gpu1.0", "GPU-bbbb"), ("gpu1.1", "GPU-bbbb")]),
    (("1",), 1, [("gpu1", "GPU-bbbb")]),
    (("GPU-aaaa",), 1, [("gpu0", "GPU-aaaa")]),
    ("none", 1, [("cpu0", None), ("cpu1", None)]),
])
def test_slots(wanted, per_gpu: int, expected: list[tuple[str, str | None]]) -> None:
    assert list(make_slots(GPUS, wanted, cpu_slots=2, per_gpu=per_gpu)) == [Slot(*entry) for entry in expected]


def test_without_gpus_the_processor_is_used() -> None:
    assert make_slots((), "auto", cpu_slots=1, per_gpu=4) == (Slot("cpu0"),)


def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(EngineError, match=r"no GPU 7 .*found: 0, 1"):
        make_slots(GPUS, ("7",), cpu_slots=1, per_gpu=1)


MIXED = tuple(replace(GPUS[0], index=str(number), uuid=f"GPU-{number}", name=name) for number, name in enumerate((
    "NVIDIA H100 80GB HBM3", "NVIDIA L40S", "NVIDIA L4", "NVIDIA GeForce RTX 4090", "NVIDIA A100-SXM4-80GB", "Tesla T4")))


@pytest.mark.parametrize(("kind", "indices"), [
    ("H100", "0"), ("h100", "0"), ("L4", "2"), ("RTX 4090", "3"), ("geforce", "3"), ("A100", "4"), ("A100-SXM4", "4"), ("T4", "5"),
    ("NVIDIA", "01234")])
def test_a_kind_of_gpu_is_known_by_the_words_of_its_name(kind, indices) -> None:
    assert "".join(gpu.index for gpu in of_kind(MIXED, kind)) == indices


@pytest.mark.parametrize("kind", ["H10", "40", "RTX 4080", "4090 RTX"])
def test_a_kind_that_is_not_there_is_named_with_those_that_are(kind) -> None:
    with pytest.raises(EngineError, match=f"is of the kind {kind} .*found: NVIDIA A100-SXM4-80GB, NVIDIA GeForce"):
        of_kind(MIXED, kind)


def required(kind: str, **workers: Any) -> TournamentConfig:
    return TournamentConfig.model_validate({"name": "t", "dataset": "d", "workers": {"require": {"gpu": kind}, **workers}})


def test_slots_are_on_gpus_of_the_kind_that_is_asked_for(monkeypatch) -> None:
    monkeypatch.setattr("harness.engine.gpu.detect", lambda: MIXED)
    assert [slot.gpu for slot in choose_slots(required("H100"))] == ["GPU-0"]
    with pytest.raises(EngineError, match=r"no GPU 1 .*found: 0"):
        choose_slots(required("H100", gpus=["1"]))
    with pytest.raises(EngineError, match="and none"):
        choose_slots(required("H100"), wanted="none")
    with pytest.raises(EngineError, match="kind K80"):
        choose_slots(required("K80"))
    assert [check.state for check in doctor_gpu.checks("auto", None, "K80")] == ["fail"]


@pytest.mark.parametrize("twice", [("0", "0"), ("1", "GPU-bbbb")])
def test_a_gpu_named_twice_is_no_second_gpu(twice) -> None:
    with pytest.raises(EngineError, match="named twice"):
        make_slots(GPUS, twice, cpu_slots=1, per_gpu=1)


def test_memory_left_by_a_killed_run_is_waited_for_and_reported() -> None:
    held = [3000, 1500, 12]
    settling = Settling(GPUS, lambda: (replace(GPUS[0], memory_used_mib=held.pop(0)),))
    assert "was released" in settling.wait("GPU-aaaa", pause=lambda _: None)
    assert held == []


def test_memory_that_stays_is_reported_and_nobody_waits_for_ever() -> None:
    settling = Settling(GPUS, lambda: (replace(GPUS[0], memory_used_mib=3012),), patience_s=0.0)
    assert settling.wait("GPU-aaaa", pause=lambda _: None) == "3000 MiB of GPU memory stayed in use after the run was killed."


def test_memory_of_programs_that_are_open_is_not_waited_for() -> None:
    full = (replace(GPUS[0], memory_used_mib=3012), replace(GPUS[1], memory_used_mib=3012))
    settling = Settling(GPUS, lambda: full, patience_s=0.0, open_on={"GPU-aaaa": 1, "GPU-bbbb": 0}.__getitem__)
    assert settling.wait("GPU-aaaa") == ""
    assert "stayed in use" in settling.wait("GPU-bbbb")


def test_a_quiet_gpu_costs_nothing() -> None:
    assert Settling(GPUS, lambda: GPUS).wait("GPU-bbbb") == ""


#: What an `nvidia-smi` does (a script's body), and what is known of the GPUs then: how many, or words of the sentence.
PROBES: dict[str, Any] = {
    "one GPU": ("echo '0, GPU-aaaa, NVIDIA H200, 570.86.15, 143771, 12, 1980'", 1),
    "none, exit code 0": ("echo 'No devices were found'", 0),
    "none, exit code 6": ("echo 'No devices were found'; exit 6", 0),
    "no driver": ("echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9", "exit code 9"),
    "fails on stderr": ("echo 'Driver/library version mismatch' >&2; exit 18", "version mismatch"),
    "says nothing": ("exit 0", "cannot be parsed"),
    "says something else": ("echo '0, GPU-aaaa, GPU is lost'", "cannot be parsed"),
    "one of two is lost": ("echo '0, GPU-aaaa, NVIDIA H200, 570.86.15, 143771, 12, 1980'; echo lost", "cannot be parsed"),
    "hangs": ("sleep 600", "did not answer"),
    "a child of it hangs": ("sleep 600 & exit 0", "did not answer"),
    "killed": ("kill -9 $$", "exit code -9"),
    "not a program": (None, "cannot be started"),
}


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_that_fails_is_no_answer(tmp_path, monkeypatch, probe) -> None:
    body, known = PROBES[probe]
    script = tmp_path / "nvidia-smi"
    script.write_bytes(b"\x7fELF nothing" if body is None else f"#!/bin/sh\n{body}\n".encode())
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("harness.engine.gpu.LIMIT_S", 0.7)
    if isinstance(known, int):
        assert len(detect()) == known
        return
    with pytest.raises(EngineError, match=known) as caught:
        detect()
    assert "gpus: none" in caught.value.next_step
    found = doctor_gpu.checks("auto", None)
    assert [check.state for check in found] == ["fail"]
    assert [check.state for check in doctor_gpu.checks("none", None)] == ["ok"]


def test_a_failing_look_after_a_killed_run_is_told() -> None:
    def look():
        raise EngineError("broken")

    assert "is unknown" in Settling(GPUS, look).wait("GPU-aaaa")
