"""`harness show` as a value and on the screen."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from harness.report.show import show_submission
from harness.report.terminal.submission import SHOWN_FAILURES, print_submission
from harness.scoring import Verdicts
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.tracks import Threat
from harness.views.curves import curves
from harness.views.submission import FailedRun, SubmissionView, Timings, met
from tests.helpers.verdicts import codes_of

FAILED = FailedRun(2, "memory_limit", "attack_3", 2, 137, 9.1, "the engine reports an out-of-memory kill",
                   "harness run --fresh defense_1 --only defense_1")


def made(results, name: str, failures: tuple[FailedRun, ...] = ()) -> SubmissionView:
    everything = results()
    entry = next(entry for entry in (*everything.attacks, *everything.defenses) if entry.name == name)
    row = next(row for row in build_leaderboard(everything, resamples=20).tracks[entry.type] if row.name == name)
    timings = Timings(1.75, 60.0, 500.0, 0.2, 1.5, 300 << 20, ("2 cores",))
    against, unlabelled = met(build_matrix(everything), (), entry)
    return SubmissionView(entry, {"profile": "legacy"}, 14, 14, timings, failures, row, opponents=against, unlabelled=unlabelled)


@pytest.mark.parametrize("name", ["attack_1", "targeted_attack_1", "defense_1"])
def test_it_fits_80_columns_and_names_every_opponent(results, screen, name: str) -> None:
    view = made(results, name, (FAILED,))
    lines = screen(lambda console: print_submission(view, console))
    # The command to repeat a run is one line, to be copied.
    assert max(len(line) for line in lines if "repeat:" not in line) <= 80
    assert all(any(opponent.name in line for line in lines) for opponent in view.opponents)
    assert "Measured on 2 cores." in lines


def test_opponents_are_sorted_from_the_hardest_and_clean_counts_in_no_score(results) -> None:
    against = made(results, "defense_1").opponents
    scores = [opponent.score for opponent in against]
    assert scores == sorted(scores)
    assert {opponent.name for opponent in against} >= {"clean", "attack_0", "targeted_attack_2"}
    halved = next(opponent for opponent in against if opponent.name == "attack_2")
    assert halved.produced == 30
    assert halved.score == halved.correct / 30


def test_a_failure_says_why_and_how_to_repeat_it(results, screen) -> None:
    view = made(results, "defense_1", (FAILED,))
    text = "\n".join(screen(lambda console: print_submission(view, console)))
    assert "batch 2 against attack_3: memory_limit, exit code 137, after 9 s, attempt 2" in text
    assert "the engine reports an out-of-memory kill" in text
    assert f"repeat: {FAILED.repeat}" in text
    assert "Process fewer images at once" in text


def test_many_failures_are_cut_on_the_screen_but_not_in_the_json(results, screen, capsys) -> None:
    view = made(results, "defense_1", (FAILED,) * 40)
    lines = screen(lambda console: print_submission(view, console))
    assert sum("repeat:" in line for line in lines) == SHOWN_FAILURES
    show_submission(view, "json")
    data = json.loads(capsys.readouterr().out)
    assert len(data["failures"]) == 40
    assert data["failures"][0]["sentence"].startswith("The kernel killed the program")
    assert len(data["opponents"]) == 10


def test_it_says_how_much_of_an_attacks_score_got_no_label(results, screen) -> None:
    everything = results()
    codes = codes_of(everything)
    silent = dataclasses.replace(everything, verdicts=Verdicts.of(np.where(codes == 5, np.uint8(0), codes)))
    entry = everything.attacks[3]
    row = next(row for row in build_leaderboard(silent, resamples=0).tracks["attack"] if row.name == entry.name)
    against, unlabelled = met(build_matrix(silent), (), entry)
    view = SubmissionView(entry, row=row, opponents=against, unlabelled=unlabelled)
    assert row.raw == sum(opponent.produced - opponent.correct for opponent in against) > 0
    assert f"Of its raw score of {row.raw}, {row.raw} images got no label from a defense" in " ".join(
        screen(lambda console: print_submission(view, console)))
    assert view.to_json()["unlabelled"] == row.raw
    whole = made(results, "attack_3")
    assert "no label from" not in " ".join(screen(lambda console: print_submission(whole, console)))


def test_scores_by_bound_are_small_curves(results, screen) -> None:
    everything = results(4, 0, 2)
    board = build_leaderboard(everything, tracks=("defense",))
    board = dataclasses.replace(board, tracks={"defense": board.tracks["defense"][:1]})
    (curve,) = curves(everything, {Threat.LINF: (16, 64)}, board)
    view = dataclasses.replace(made(results, curve.name), by_bound=(dataclasses.replace(curve, easier=(16, 64)),))
    lines = [line.split() for line in screen(lambda console: print_submission(view, console))]
    at = lines.index(["Score", "by", "epsilon", "95", "%", "intervals", "over", "images"])
    for point, line in zip(curve.points, lines[at + 1:], strict=False):
        assert line[:2] == [str(point.bound), f"{point.score:.3f}"]
        assert set(line[-1]) == {"#"}
    assert lines[at + 3] == ["Epsilon", "64", "does", "less", "harm", "than", "16."]
