"""The screen of a running tournament, fed by hand."""

from __future__ import annotations

import io

import pytest

from harness.report.terminal.console import make_console
from harness.report.terminal.live import LiveProgress, picture
from harness.views.progress import SlotView, Snapshot

SLOTS = (
    SlotView("cpu-0", "mi_fgsm_with_a_long_name_that_goes_on_and_on_for_ever on batch 3", 412, 500), SlotView("cpu-1", ""),
    SlotView("gpu-0", "jpeg on batch 1", 3.2, 500), SlotView("gpu-1", "", resting=True),
)


def snapshot(done: int, total: int = 100, **more) -> Snapshot:
    return Snapshot(done, total, 2, {"ok": done, "time_limit": 2}, SLOTS, more.get("eta_s", 75))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_of(steps: list[tuple[float, Snapshot]]) -> list[str]:
    file, clock = io.StringIO(), Clock()
    with LiveProgress(file, clock) as live:
        for seconds, shown in steps:
            clock.now = 100 + seconds
            live.update(shown)
    return file.getvalue().splitlines()


def test_plain_lines_come_at_each_tenth_and_every_few_seconds() -> None:
    lines = lines_of([(0, snapshot(0)), (1, snapshot(5)), (2, snapshot(12)), (3, snapshot(13)), (8, snapshot(14))])
    assert [line.split(" runs")[0] for line in lines] == ["0/100", "12/100", "14/100"]
    assert lines[1] == "12/100 runs (12%) after 2 s, about 1 min 15 s left, 2 of 4 slots busy, ok=12 time_limit=2"


def test_the_last_state_is_always_written_and_only_once() -> None:
    assert lines_of([(0, snapshot(0)), (1, snapshot(3))])[-1].startswith("3/100")
    assert [line[:7] for line in lines_of([(0, snapshot(0)), (9, snapshot(100))])] == ["0/100 r", "100/100"]


def test_plain_lines_have_no_escape_codes() -> None:
    assert "\x1b" not in "".join(lines_of([(0, snapshot(0))]))


@pytest.mark.parametrize("width", [30, 60, 80, 120, 300])
@pytest.mark.parametrize("state", [snapshot(0, eta_s=None), snapshot(50), snapshot(100), Snapshot(0, 0, 0)])
def test_the_picture_fits_any_terminal(screen, width: int, state: Snapshot) -> None:
    lines = screen(lambda console: console.print(picture(state, console.width, 3600)), width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + bool(state.outcomes) + len(state.slots)


def test_the_picture_says_what_each_slot_does(screen) -> None:
    lines = screen(lambda console: console.print(picture(snapshot(50), console.width, 60)), 80)
    assert "50/100 50%  1 min 00 s, about 1 min 15 s left" in lines[0]
    assert lines[2].endswith("412 s of 500 s")
    assert "idle" in lines[3]
    assert "backing off after a host error" in lines[5]


def test_a_terminal_is_redrawn_and_left_with_one_line() -> None:
    file = io.StringIO()
    console = make_console(file, 80)
    console._force_terminal = True
    with LiveProgress(console=console) as live:
        live.update(snapshot(50))
        live.say("A slot was put to rest.")
    text = file.getvalue()
    assert "A slot was put to rest." in text
    assert "50/100 runs (50%)" in text.splitlines()[-1]


def cluster(slots: int) -> Snapshot:
    views = tuple(SlotView(f"{node}/cpu{number}", "jpeg on batch 1" if number else "", 1, 500, resting=number == 0, node=node)
                  for node in ("north", "west") for number in range(slots))
    return Snapshot(5, 10, 0, {"ok": 5}, views, 75, {"south": "lost 3 s ago; its runs restarted elsewhere"})


@pytest.mark.parametrize(("slots", "shown"), [(2, 4), (20, 0)])
def test_each_machine_has_a_line_and_slots_where_they_are_few(screen, slots, shown) -> None:
    lines = screen(lambda console: console.print(picture(cluster(slots), console.width, 60)), 100)
    assert lines[2].split() == f"north {slots - 1} of {slots} slots busy, 1 backing off after host errors".split()
    assert lines[3].split() == ["south", "lost", "3", "s", "ago;", "its", "runs", "restarted", "elsewhere"]
    assert lines[4].startswith("west")
    assert len(lines) == 5 + shown


def test_a_lost_machine_is_in_the_plain_line_too() -> None:
    assert "2 of 4 slots on 2 nodes busy, south lost 3 s ago, ok=5" in lines_of([(0, cluster(2))])[0]
