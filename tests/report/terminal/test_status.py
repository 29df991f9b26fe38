from __future__ import annotations

import json

from harness.report.show import show_status
from harness.report.terminal.status import print_status
from harness.sandbox.outcomes import POLICY, Outcome
from harness.views.status import DuelCounts, KindCounts, NodeView, StatusView


def view(**more) -> StatusView:
    kinds = (KindCounts("attack", 8, 1, 1), KindCounts("defense", 30, 1, 9, 2))
    return StatusView("digits", "main", kinds, {"ok": 36, "memory_limit": 2}, **more)


def test_the_outcomes_come_with_their_sentences(screen) -> None:
    text = " ".join(" ".join(screen(lambda console: print_status(view(), console), 200)).split())
    assert POLICY[Outcome.MEMORY_LIMIT].sentence in text
    assert "38 of 50 runs (76%), not running" in text
    assert text.endswith("Go on with harness run.")


def test_a_round_that_nobody_is_in_is_not_complete(screen) -> None:
    empty = StatusView("t", "r", (KindCounts("attack", 0, 0, 0),), {})
    text = " ".join(screen(lambda console: print_status(empty, console)))
    assert "0 of 0 runs (0%), nothing to run" in text


def test_duels_have_a_line_of_their_own(screen) -> None:
    duels = (DuelCounts("white_box", 3, 12), DuelCounts("query", 1200, 1200))
    lines = screen(lambda console: print_status(view(duels=duels), console))
    assert "Duels done, their runs counted above: white box 3 of 12, query 1,200 of 1,200." in lines
    assert not any("Duels" in line for line in screen(lambda console: print_status(view(), console)))


def test_a_running_tournament_says_how_long_still(screen) -> None:
    running = view(active=True, eta_s=600, busy_share=0.971, overhead_s=0.0364, spent_s={"compute": 61})
    lines = screen(lambda console: print_status(running, console))
    assert "About 10 min 00 s left, from the median times so far." in lines
    assert "Slots were busy running submissions for 97.1 % of the time." in lines
    assert "Overhead per run, starting programs included: 36 ms of a slot." in lines
    assert max(map(len, lines)) <= 80


def test_json_has_sentence_and_blame(capsys) -> None:
    show_status(view(), "json")
    data = json.loads(capsys.readouterr().out)
    assert data["outcomes"]["memory_limit"] == {
        "runs": 2, "sentence": POLICY[Outcome.MEMORY_LIMIT].sentence, "blame": "submission"}
    assert data["kinds"][1] == {"kind": "defense", "done": 30, "running": 1, "waiting": 9, "failed": 2}


def test_every_outcome_can_be_shown(screen) -> None:
    everything = StatusView("t", "r", (), {str(outcome): 1 for outcome in Outcome})
    shown = " ".join(screen(lambda console: print_status(everything, console)))
    assert all(outcome in shown for outcome in Outcome)


def test_each_machine_has_a_line_and_a_lost_one_says_so(screen) -> None:
    nodes = (NodeView("north", 4, "16 cores of x86_64, 128 GiB"), NodeView("south", 4, "16 cores of x86_64, 128 GiB", lost=True))
    lines = screen(lambda console: print_status(view(active=True, nodes=nodes), console))
    assert "Node north: 4 slots, 16 cores of x86_64, 128 GiB." in lines
    assert "Node south was lost; its runs restarted elsewhere." in lines
