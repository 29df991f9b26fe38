"""A track of its own, from `harness submit` to the leaderboard, its JSON and the export, by three things: a row of ``tracks``, a
reader, a formula. Its entries answer one number per image. What a track of another kind still meets is in docs/architecture.md.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness import tracks
from harness.cli.main import main
from harness.formats.answers import Answers, Reading
from harness.scoring.entry import Entry
from harness.scoring.formula import Basis, Resampling, TrackScores, members_of
from harness.scoring.ranking import ranks
from harness.scoring.results import Results
from harness.scoring.views import View
from tests.e2e import make

#: Answers the mean of each image's pixels, with a fraction by which its answers are known.
PROGRAM = make.HEAD + make.PRELUDE + """
with open(sys.argv[2], "w") as file:
    for name in sorted(os.listdir(sys.argv[1])):
        pixels = px.read(os.path.join(sys.argv[1], name))[2]
        file.write(f"{name},{sum(pixels) // len(pixels)}.5\\n")
"""


def read_numbers(data: bytes, names: Sequence[str | None]) -> Reading:
    """float32, NaN where there is none."""
    numbers = dict(line.split(",") for line in data.decode().splitlines())
    values = np.array([float(numbers.get(name or "", "nan")) for name in names], np.float32)
    return Reading(Answers(values, ~np.isnan(values)))


class Darker:
    """The share of images, over all attacks, of which the attacked one got the lower number."""

    def entries(self, results: Results) -> tuple[Entry, ...]:
        return results.detectors

    def opponents(self, results: Results) -> tuple[Entry, ...]:
        return results.attacks

    def score(self, basis: Basis, track: str, view: View) -> TrackScores:
        del view
        members = members_of(basis.results, track)
        found = basis.results.detections
        assert found is not None
        score = np.array([(found.attacked[m] < found.clean[m])[found.shown].mean() for m in members])
        nothing, nobody = np.full(len(members), math.nan), np.full(len(members), -1)
        return TrackScores(track=track, members=members, raw=None, score=score, worst=nothing, worst_opponent=nobody,
                           coverage=np.ones(len(members)), figures={}, rank=ranks(score))

    def resampling(self, basis: Basis, track: str, view: View) -> Resampling:
        members, found = members_of(basis.results, track), basis.results.detections
        assert found is not None
        lower = (found.attacked[members] < found.clean[members]) & found.shown
        shown = np.broadcast_to(found.shown.sum(0), (len(members), found.shown.shape[1]))
        return Resampling((lower.sum(1), shown), lambda won, asked: won / asked, np.full(len(members), found.shown.shape[1]))


DARKER = Darker()


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """`harness` with the track in it: what it printed, by its words."""
    row = replace(tracks.DETECTOR, name="meter", title="Meters", score="share of attacked images with the lower number",
                  output="numbers.csv", reader=f"{__name__}:read_numbers", formula=f"{__name__}:DARKER", figures=())
    monkeypatch.setitem(tracks._ROWS, "meter", row)
    make.tournament(tmp_path, ("attack-darken", "defense-mean"))
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["harness", *words])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfd.readouterr()
        assert left.value.code in {0, None}, err
        return out

    return call


def test_it_is_submitted_run_ranked_and_exported(command, tmp_path) -> None:
    entry = tmp_path / "meter"
    entry.mkdir()
    (entry / "metadata.json").write_text(json.dumps({"type": "meter", "container": make.IMAGE, "entry_point": "run.py"}))
    (entry / "run.py").write_text(PROGRAM)
    (entry / "run.py").chmod(0o755)
    (entry / "pixels.py").write_text((make.ENTRIES / "pixels.py").read_text())
    command("submit", "meter", "--team", "those who measure")
    command("run", "--sandbox", "process")
    board = json.loads(command("leaderboard", "--format", "json"))
    (found,) = board["tracks"]["meter"]
    # The attack darkens every image that is not black; nobody else's table has the entry.
    assert (found["name"], found["rank"], found["score"]) == ("meter", 1, 1.0)
    assert all("meter" not in {row["name"] for row in rows} for name, rows in board["tracks"].items() if name != "meter")
    assert "Meters  score: share of attacked images with the lower number" in command("leaderboard")
    shown = json.loads(command("show", "meter", "--format", "json"))
    assert (shown["entry"]["type"], shown["done"], shown["total"], shown["entry"]["outcomes"]) == ("meter", 6, 6, {"ok": 6})
    command("export", "out")
    with (tmp_path / "out" / "leaderboard.csv").open() as file:
        exported = {row["name"]: row for row in csv.DictReader(file)}
    assert (exported["meter"]["track"], float(exported["meter"]["score"])) == ("meter", 1.0)
    with (tmp_path / "out" / "detections.csv").open() as file:
        numbers = [float(row["score"]) for row in csv.DictReader(file)]
    assert len(numbers) == 2 * 30
    assert {number % 1 for number in numbers} == {0.5}
