"""`harness validate` of an attack that meets its opponents alone, against one of them, with the process sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.config import Query
from harness.errors import EngineError
from harness.sandbox.base import Limits
from harness.sandbox.process import ProcessSandbox
from harness.submission.load import Submission, load
from harness.tournament.dry_run import Duel, Trial, try_out
from harness.tracks import Access

from .test_dry_run import DEFENSE, dataset

__all__ = ["dataset"]

READS = """#!/usr/bin/env python3
from harness.sdk import run_white_box_attack, within
def attack(images, bound, target):
    return within(images, images + target.predict(images.transpose(0, 3, 1, 2))[:, None, None, None], bound)
run_white_box_attack(attack)
"""
ASKS = """#!/usr/bin/env python3
import numpy
from harness.sdk import run_query_attack
def attack(images, bound, oracle):
    every = numpy.arange(len(images))
    QUESTION
    return images
run_query_attack(attack)
"""
MOVES = "assert oracle.budget == 7; oracle.labels(images, every); oracle.labels(images + numpy.uint8(bound), every)"
#: One shade is 60 apart from the next; who is moved by 32 towards it is labelled as it.
CLASSIFY = DEFENSE.format(body="classify = lambda images: (images[:, 0, 0, 0].astype(int) - 10) // 60 + 1")
SCORES = DEFENSE.format(body="classify = lambda images: ((images[:, 0, 0, 0].astype(int) - 10) // 60 + 1, images[:, 0, 0] / 9)")
#: Without the SDK, which leaves no row that is not whole.
SERVES_ROWS = """#!/usr/bin/env python3
import csv, json, pathlib, sys
from PIL import Image
def answer(folder, file):
    label = lambda path: (Image.open(path).getpixel((0, 0))[0] - 10) // 60 + 1
    rows = [(path.name, label(path), *[SCORES]) for path in pathlib.Path(folder).glob("*.png")]
    with open(file, "w", newline="") as out:
        csv.writer(out).writerows(rows)
if sys.argv[1:] != ["serve"]:
    answer(*sys.argv[1:])
else:
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        answer(asked["input"], asked["output"])
        print(json.dumps({"batch": asked["batch"], "done": True}), flush=True)
"""
WHITE_BOX = """
import numpy
class Net:
    def logits(self, pixels): return numpy.zeros((len(pixels), 3))
    def predict(self, pixels): return numpy.full(len(pixels), 5)
load = Net
"""


def entry(place: Path, name: str, code: str, **metadata: object) -> Submission:
    root = place / name
    root.mkdir()
    (root / "main.py").write_text(code)
    (root / "main.py").chmod(0o755)
    kind = "defense" if name == "defense" else "attack"
    if kind == "defense":
        (root / "base").mkdir()
        (root / "whitebox.py").write_text(WHITE_BOX)
        (root / "base" / "whitebox.py").write_text(WHITE_BOX.replace("5", "3"))
        metadata["base"] = "base"
    said = {"type": kind, "container": "none", "entry_point": "main.py", "protocol": "serve", **metadata}
    (root / "metadata.json").write_text(json.dumps(said))
    return load(root)


def tried(dataset, place: Path, code: str, access: Access, defense: str = CLASSIFY, *, baseline: bool = False,
          **queries: object) -> Trial:
    attack, opponent = entry(place, "attack", code, access=access, baseline=baseline), entry(place, "defense", defense)
    duel = Duel(opponent, Query(budget=7, **queries))  # type: ignore[arg-type]
    return try_out(attack, dataset, dataset.batches(100, (32,))[0], ProcessSandbox(), Limits(time_limit_s=60.0), duel=duel)


@pytest.mark.parametrize(("access", "change"), [(Access.WHITE_BOX, 5), (Access.GREY_BOX, 3)])
def test_one_that_reads_is_shown_what_its_access_says(dataset, tmp_path: Path, access: Access, change: int) -> None:
    trial = tried(dataset, tmp_path, READS, access)
    assert trial.problems == []
    assert f"Largest change of a pixel: {change} of 32 allowed." in trial.remarks
    assert any("It serves" in remark for remark in trial.remarks)


def test_one_that_asks_plays_its_duel(dataset, tmp_path: Path) -> None:
    trial = tried(dataset, tmp_path, ASKS.replace("QUESTION", MOVES), Access.QUERY)
    assert trial.problems == []
    # What it returns is looked at as well. Four that were moved are nearer to the next shade, whose first image is charged too.
    assert ("22 queries to defense were charged, 3 for the median image, where 7 are allowed. "
            "6 of 6 images were found to fool it.") in trial.remarks


def test_one_that_asks_for_scores(dataset, tmp_path: Path) -> None:
    question = "labels, scores = oracle(images, every); assert (scores > 4).all() and scores.shape == (6, 3)"
    assert tried(dataset, tmp_path, ASKS.replace("QUESTION", question), Access.QUERY, SCORES, answers="scores").problems == []


@pytest.mark.parametrize(("question", "returned", "baseline", "problems", "remark"), [
    ("pass", "images", False, ["it asked nothing, and what it returned fools nobody."], "6 queries to defense were charged"),
    ("pass", "images", True, [], "It asked nothing, and what it returned fools nobody."),
    ("oracle.labels(images[:0], every[:0])", "images", False, ["it asked nothing, and what it returned fools nobody."], "6 que"),
    ("pass", "images + numpy.uint8(bound)", False, [], "It asked nothing: only what it returned counts."),
    ("oracle.labels(images, every)", "images", False, [], "12 queries to defense were charged"),
], ids=["nothing at all", "a baseline", "about no image", "what it returned counts", "in vain"])
def test_one_that_asks_nothing_is_told_so(dataset, tmp_path: Path, question, returned, baseline, problems, remark) -> None:
    code = ASKS.replace("QUESTION", question).replace("return images", f"return {returned}")
    trial = tried(dataset, tmp_path, code, Access.QUERY, baseline=baseline)
    assert [problem.sentence for problem in trial.problems] == problems
    assert any(found.startswith(remark) for found in trial.remarks)


NONE = ("6 of 6 labelled images have no scores: the row of an image needs a finite number for each of the 3 labels of the data "
        "set, and behind its own label it has")

MORE = ("Of its scores the first 3 are read, one for each label of the data set; behind its own label the row of an image has 4 "
        "columns, empty ones included.")


@pytest.mark.parametrize(("scores", "remark"), [
    ("", "It gives no scores beside its labels; this"),
    ("9, 9, 9", "It gives scores of all 3 labels."),
    ("9, 9", f"{NONE} 2 columns, empty ones included."),
    ("9, 9, 'x'", f"{NONE} 3 columns, empty ones included."),
    ("9, 9, 9, 9", MORE),
    ("''", f"{NONE} 1 column, empty ones included."),
], ids=["none", "all", "too few", "no number", "too many", "a trailing comma"])
def test_a_defense_whose_scores_are_asked_for(dataset, tmp_path: Path, scores: str, remark: str) -> None:
    trial = tried_defense(dataset, tmp_path, scores, Query(answers="scores"))
    assert trial.problems == []
    assert any(found.startswith(remark) for found in trial.remarks)


@pytest.mark.parametrize("queries", [None, Query()], ids=["no queries", "labels"])
def test_nothing_is_said_of_scores_that_nobody_asks_for(dataset, tmp_path: Path, queries: Query | None) -> None:
    assert not any("scores" in remark for remark in tried_defense(dataset, tmp_path, "9, 9", queries).remarks)


def tried_defense(dataset, place: Path, scores: str, queries: Query | None) -> Trial:
    code = SERVES_ROWS.replace("SCORES", scores)
    return try_out(entry(place, "plain", code, type="defense"), dataset, dataset.batches(100, (32,))[0], ProcessSandbox(),
                   Limits(time_limit_s=60.0), queries=queries)


@pytest.mark.parametrize(("question", "field"), [
    ("import sys, os; os.write(2, b'why'); os._exit(3)", "run: exited_nonzero"),
    ("1 / 0", "run: exited_nonzero"),
])
def test_a_fault_of_one_that_asks(dataset, tmp_path: Path, question: str, field: str) -> None:
    trial = tried(dataset, tmp_path, ASKS.replace("QUESTION", question), Access.QUERY)
    assert field in {problem.field_or_file for problem in trial.problems}


def test_an_opponent_that_fails_is_no_fault_of_the_attacks(dataset, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="because of defense"):
        tried(dataset, tmp_path, ASKS.replace("QUESTION", MOVES), Access.QUERY, DEFENSE.format(body="classify = lambda _: 1 / 0"))
