"""Whose a name is: who may hand in a new version of it, and on whose word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.errors import SubmissionError
from harness.store import submissions
from harness.store.facade import Transaction
from harness.store.values import Registered
from harness.submission.load import Submission

ARCHIVE = Submission(
    name="noise", type="attack", team=None, baseline=False, digest="1", kind="archive", container="image:1", container_gpu=None,
    entry_point="run.sh", profile="legacy", serves=False, code_dir=None)
DIRECTORY = replace(ARCHIVE, kind="directory")
OF_A = replace(ARCHIVE, team="A")
SAID_A = replace(OF_A, said=frozenset({"team"}))
HERE, THERE = "/uploads/1/noise", "/uploads/2/noise"


def hand_in(writing: Transaction, submission: Submission, source: str = HERE, *, own: bool = False) -> Registered:
    return submissions.register(writing, submission, source=source, own=own)


@dataclass(frozen=True)
class Case:
    """Who has the name, who comes next, and what is said of that; empty where it is a new version."""

    first: Submission
    second: Submission
    words: str = ""
    source: str = THERE
    first_own: bool = False
    own: bool = False


def other(submission: Submission, **changes: Any) -> Submission:
    return replace(submission, digest="2", **changes)


CASES = {
    "the same team": Case(OF_A, other(OF_A)),
    "the same team by the organiser": Case(SAID_A, other(SAID_A)),
    "the same team in other letters": Case(
        replace(OF_A, team="\N{FULLWIDTH LATIN CAPITAL LETTER A}  Team"), other(OF_A, team="a team")),
    "the same name in other letters": Case(OF_A, other(OF_A, name="NOISE")),
    "another team": Case(OF_A, other(OF_A, team="B"), "is of team B"),
    "another team that looks like it": Case(OF_A, other(OF_A, team="\N{GREEK CAPITAL LETTER ALPHA}"), "is of team"),
    "another team in other letters": Case(OF_A, other(OF_A, name="Noise", team="B"), "is of team B"),
    "another team by the organiser": Case(OF_A, other(OF_A, team="B", said=frozenset({"team"})), "is of team B"),
    "the team by its own word": Case(SAID_A, other(OF_A), "only in its own metadata"),
    "nobody known after a team": Case(OF_A, other(ARCHIVE), "does not say"),
    "a team after nobody known": Case(ARCHIVE, other(OF_A), "is of team A"),
    "two of nobody known": Case(ARCHIVE, other(ARCHIVE), "of no known team"),
    "two of nobody known at one place": Case(ARCHIVE, other(ARCHIVE), "of no known team", HERE),
    "an image of nobody known": Case(replace(ARCHIVE, kind="image"), other(ARCHIVE, kind="image"), "of no known team"),
    "a directory that changed": Case(DIRECTORY, other(DIRECTORY), source=HERE),
    "a directory at another place": Case(DIRECTORY, other(DIRECTORY), "of no known team"),
    "an archive in a directory's place": Case(DIRECTORY, other(ARCHIVE), "of no known team", HERE),
    "another track": Case(OF_A, other(OF_A, type="defense"), "in another track"),
    "another track by the organiser": Case(SAID_A, other(SAID_A, type="defense"), "in another track"),
    "the file's directory changed": Case(DIRECTORY, other(DIRECTORY), source=HERE, first_own=True, own=True),
    "the file's directory moved": Case(DIRECTORY, other(DIRECTORY), first_own=True, own=True),
    "the file's directory has a team now": Case(DIRECTORY, other(DIRECTORY, team="A"), source=HERE, first_own=True, own=True),
    "the file's directory is a defense now": Case(DIRECTORY, other(DIRECTORY, type="defense"), source=HERE, first_own=True,
                                                  own=True),
    "the file's name by a stranger": Case(replace(DIRECTORY, team="A"), other(OF_A), "only in its own metadata", first_own=True),
    "a stranger's name in the file": Case(ARCHIVE, other(DIRECTORY), "of no known team", own=True),
    "a team's name in the file": Case(OF_A, other(DIRECTORY), "does not say", own=True),
    "the file's archive changed": Case(ARCHIVE, other(ARCHIVE), source=HERE, first_own=True, own=True),
    "a baseline by its own word": Case(OF_A, other(OF_A, baseline=True), "calls itself a baseline"),
    "a directory of the file that is a baseline": Case(DIRECTORY, other(DIRECTORY, baseline=True), own=True),
    "an archive of the file that is a baseline": Case(OF_A, other(OF_A, baseline=True), "calls itself a baseline", own=True),
    "a baseline by the organiser": Case(OF_A, other(OF_A, baseline=True, said=frozenset({"baseline"}))),
}


@pytest.mark.parametrize("name", CASES)
def test_whose_a_name_is(writing, name) -> None:
    case = CASES[name]
    first = hand_in(writing, case.first, own=case.first_own).submission
    if not case.words:
        done = hand_in(writing, case.second, case.source, own=case.own)
        assert (done.change, done.submission.name, done.submission.version) == ("version", "noise", 2)
        return
    with pytest.raises(SubmissionError, match=case.words) as refused:
        hand_in(writing, case.second, case.source, own=case.own)
    assert refused.value.next_step
    assert [held.digest for held in submissions.active(writing)] == [first.digest] == ["1"]


def test_a_withdrawn_name_keeps_its_owner(writing) -> None:
    hand_in(writing, SAID_A)
    submissions.withdraw(writing, "NOISE", "default")
    with pytest.raises(SubmissionError, match="belongs to team A"):
        hand_in(writing, other(ARCHIVE, team="B"))
    assert hand_in(writing, ARCHIVE).change == "back", "its own content comes back, whoever carries it"


def test_old_content_does_not_put_the_owner_s_new_version_out(writing) -> None:
    hand_in(writing, SAID_A)
    hand_in(writing, other(SAID_A))
    with pytest.raises(SubmissionError, match="belongs to team A"):
        hand_in(writing, ARCHIVE)
    assert hand_in(writing, SAID_A).change == "back"


def test_who_replaces_on_the_organiser_s_word_owns_the_name(writing) -> None:
    hand_in(writing, SAID_A)
    submissions.register(writing, other(ARCHIVE, team="B"), source=THERE, replace=True)
    with pytest.raises(SubmissionError, match="belongs to team B"):
        hand_in(writing, replace(SAID_A, digest="3"))


def test_the_organiser_corrects_what_is_known(writing) -> None:
    hand_in(writing, ARCHIVE)
    corrected = replace(SAID_A, baseline=True, said=frozenset({"team", "baseline"}))
    assert submissions.register(writing, corrected, source=HERE, replace=True).change == "same"
    (held,) = submissions.active(writing)
    assert (held.team, held.baseline) == ("A", True)
