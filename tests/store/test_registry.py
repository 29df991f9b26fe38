"""Who takes part under which name, and what a round keeps of it."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.errors import SubmissionError
from harness.store import registry
from harness.store.database import open_database
from harness.store.models import SubmissionRow
from harness.submission import Submission


@pytest.fixture
def session(tmp_path):
    db = open_database(tmp_path / "tournament.db")
    with Session(db) as opened:
        yield opened
    db.dispose()


def hand_in(session: Session, name: str, content: str) -> registry.Registered:
    return registry.register(session, Submission(
        name=name, type="defense", team=None, baseline=False, digest=content, kind="directory", container="image:1",
        container_gpu=None, entry_point="run.sh", profile="legacy", serves=False, code_dir=None), source=f"{name} {content}")


def known(session: Session) -> list[tuple[str, int, str, str]]:
    return [(row.name, row.version, row.digest, row.state)
            for row in session.scalars(select(SubmissionRow).order_by(SubmissionRow.name, SubmissionRow.version))]


def make_round(session: Session, name: str) -> int:
    conditions = registry.ensure_conditions(session, {"sandbox": "process"})
    return registry.ensure_round(session, name, "t", "d", "{}", (conditions, conditions), [], registry.active(session),
                                 frozen=name != "default").id


def members(session: Session, round_id: int) -> list[tuple[str, str]]:
    return [(row.name, row.digest) for row in registry.round_submissions(session, round_id)]


def test_what_was_put_back_is_what_a_name_means(session) -> None:
    changes = [hand_in(session, "a", content).change for content in ("x", "x", "y", "x")]
    assert changes == ["new", "same", "version", "back"]
    assert known(session) == [("a", 1, "x", "active"), ("a", 2, "y", "superseded")]
    assert registry.find(session, "a").digest == "x"
    registry.withdraw(session, "a", "default")
    assert registry.find(session, "a").digest == "y", "none takes part: the newest"


def test_content_of_another_name_is_refused_only_while_it_takes_part_there(session) -> None:
    hand_in(session, "a", "x")
    with pytest.raises(SubmissionError, match="same content as the submission a"):
        hand_in(session, "b", "x")
    registry.withdraw(session, "a", "default")
    assert hand_in(session, "b", "x").change == "new"
    with pytest.raises(SubmissionError, match="same content as the submission b"):
        hand_in(session, "a", "x")


def test_content_that_moves_to_another_name_supersedes_who_has_it_and_leaves_rounds_as_they_were(session) -> None:
    hand_in(session, "a", "x")
    hand_in(session, "b", "y")
    rounds = [make_round(session, name) for name in ("final", "default")]
    hand_in(session, "a", "z")
    assert hand_in(session, "b", "x").change == "version"
    assert known(session) == [("a", 1, "x", "superseded"), ("a", 2, "z", "active"),
                              ("b", 1, "y", "superseded"), ("b", 2, "x", "active")]
    for round_id in rounds:
        assert members(session, round_id) == [("a", "x"), ("b", "y")]
    make_round(session, "default")
    assert [members(session, round_id) for round_id in rounds] == [[("a", "x"), ("b", "y")], [("a", "z"), ("b", "x")]]
    # And back again: each name has a version of that content by now.
    hand_in(session, "b", "y")
    assert hand_in(session, "a", "x").change == "back"
    assert sorted((row.name, row.digest) for row in registry.active(session)) == [("a", "x"), ("b", "y")]
