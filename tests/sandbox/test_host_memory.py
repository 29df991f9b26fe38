"""Whether a host ran out of memory, by what its kernel says."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.sandbox.host_memory import HostMemory

MIB = 1 << 20
#: Of 1,000 MiB: left at the start, at a look, at the end; given back by the program; ended before and after; whether it ran out.
ROWS = {
    "seen while it happened": (500, 10, 800, 0, 3, 4, True),
    "seen only at the end": (500, 500, 20, 0, 3, 4, True),
    "what the program held is free again": (500, 500, 310, 300, 3, 4, True),
    "it held more than is free now": (500, 500, 100, 300, 3, 4, True),
    "from the start": (10, 10, 800, 0, 3, 4, True),
    "another one met its limit": (500, 500, 500, 0, 3, 4, False),
    "another one met its limit, while this one held some": (500, 500, 500, 300, 3, 4, False),
    "little memory, and nothing was ended": (500, 10, 10, 0, 3, 3, False),
}


class Kernel:
    def __init__(self, proc: Path) -> None:
        self.proc = proc

    def say(self, left: int, ended: int) -> None:
        (self.proc / "meminfo").write_text(
            f"MemTotal:        {1000 << 10} kB\nMemFree:         1 kB\nMemAvailable:    {left << 10} kB\nBuffers:         2 kB\n")
        (self.proc / "vmstat").write_text(f"nr_free_pages 1\noom_kill {ended}\nnuma_hit 5\n")


@pytest.mark.parametrize("row", ROWS)
def test_ran_out(row, tmp_path: Path) -> None:
    start, look, end, given_back, before, after, expected = ROWS[row]
    kernel = Kernel(tmp_path)
    kernel.say(start, before)
    host = HostMemory(tmp_path)
    kernel.say(look, before)
    host.look()
    kernel.say(end, after)
    assert bool(host.ran_out(given_back * MIB)) is expected
    assert "of 1000 MiB were left" in (host.ran_out(given_back * MIB) or "of 1000 MiB were left")


@pytest.mark.parametrize("missing", ["vmstat", "meminfo"])
def test_where_the_kernel_does_not_tell_the_host_is_not_to_blame(missing, tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    kernel.say(0, 3)
    (tmp_path / missing).unlink()
    host = HostMemory(tmp_path)
    kernel.say(0, 4)
    (tmp_path / missing).unlink()
    host.look()
    assert host.ran_out() == ""


def test_this_host_tells() -> None:
    host = HostMemory()
    assert host._ended is not None
    assert 0 < host._least <= host._total
    assert host.ran_out() == ""
