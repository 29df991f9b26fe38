"""Who takes part under which name, and what a round keeps of it."""

from __future__ import annotations

import pytest

from harness.errors import SubmissionError
from harness.store import rounds, submissions
from harness.store.facade import Transaction
from harness.store.values import Registered
from harness.submission.load import Submission


def hand_in(writing: Transaction, name: str, content: str) -> Registered:
    return submissions.register(writing, Submission(
        name=name, type="defense", team=None, baseline=False, digest=content, kind="directory", container="image:1",
        container_gpu=None, entry_point="run.sh", profile="legacy", serves=False, code_dir=None),
        source=f"{name} {content}", own=True)


def known(writing: Transaction) -> list[tuple[str, int, str, str]]:
    return sorted((held.name, held.version, held.digest, held.state) for held in submissions.every(writing))


def make_round(writing: Transaction, name: str) -> int:
    conditions = rounds.ensure_conditions(writing, {"sandbox": "process"})
    return rounds.ensure(writing, name, "t", "d", "{}", (conditions, conditions), [], submissions.active(writing)).id


def members(writing: Transaction, round_id: int) -> list[tuple[str, str]]:
    return [(held.name, held.digest) for held in rounds.members(writing, round_id)]


def test_what_was_put_back_is_what_a_name_means(writing) -> None:
    changes = [hand_in(writing, "a", content).change for content in ("x", "x", "y", "x")]
    assert changes == ["new", "same", "version", "back"]
    assert known(writing) == [("a", 1, "x", "active"), ("a", 2, "y", "superseded")]
    assert submissions.find(writing, "a").digest == "x"
    submissions.withdraw(writing, "a", "default")
    assert submissions.find(writing, "a").digest == "y", "none takes part: the newest"


def test_content_of_another_name_is_refused_only_while_it_takes_part_there(writing) -> None:
    hand_in(writing, "a", "x")
    with pytest.raises(SubmissionError, match="same content as the submission a"):
        hand_in(writing, "b", "x")
    submissions.withdraw(writing, "a", "default")
    assert hand_in(writing, "b", "x").change == "new"
    with pytest.raises(SubmissionError, match="same content as the submission b"):
        hand_in(writing, "a", "x")


def test_content_that_moves_to_another_name_supersedes_who_has_it_and_leaves_rounds_as_they_were(writing) -> None:
    hand_in(writing, "a", "x")
    hand_in(writing, "b", "y")
    rounds = [make_round(writing, name) for name in ("final", "default")]
    hand_in(writing, "a", "z")
    assert hand_in(writing, "b", "x").change == "version"
    assert known(writing) == [("a", 1, "x", "superseded"), ("a", 2, "z", "active"),
                              ("b", 1, "y", "superseded"), ("b", 2, "x", "active")]
    for round_id in rounds:
        assert members(writing, round_id) == [("a", "x"), ("b", "y")]
    make_round(writing, "default")
    assert [members(writing, round_id) for round_id in rounds] == [[("a", "x"), ("b", "y")], [("a", "z"), ("b", "x")]]
    # And back again: each name has a version of that content by now.
    hand_in(writing, "b", "y")
    assert hand_in(writing, "a", "x").change == "back"
    assert sorted((held.name, held.digest) for held in submissions.active(writing)) == [("a", "x"), ("b", "y")]
