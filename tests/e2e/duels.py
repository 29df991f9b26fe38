"""A tournament of seconds with all that a contest may have: duels of both kinds, a detector, and all that came of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.config import load
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament
from tests.e2e import make
from tests.e2e.conftest import Place

SERVED = {"protocol": "serve"}


def write(place: Place, programs: tuple[str, ...] = ("attack-darken",), images: int = 10, **fields: Any) -> Place:
    """An attack by queries, one that reads its opponent, and whom they play; beside the programs that the caller names."""
    make.tournament(place.root, programs, images=images, tally=place.tally, **{"rules": {
        "max_epsilon": [16], "access": ["query", "white_box"], "query": {"budget": 8}}, **fields})
    entries = place.root / "entries"
    make.entry(entries / "asks", "attack-asks", tally=place.tally, metadata=SERVED | {"access": "query"})
    make.entry(entries / "reads", "attack-reads", tally=place.tally, metadata={"access": "white_box"})
    make.entry(entries / "serves", "defense-serves", tally=place.tally, metadata=SERVED)
    (entries / "serves" / "whitebox.py").write_text("# brighter")
    return place


def found(place: Place) -> list[object]:
    """Every verdict, everything that a duel counted, and every detector's score."""
    with Tournament(load(place.config)) as tournament:
        results = load_results(tournament, tournament.dataset())
    assert (results.runs.done, results.runs.failed) == (results.runs.total, 0)
    return [results.verdicts.planes.tolist()] + [
        (duels.access, duels.done.tolist(), duels.codes.tolist(), duels.counted.tolist(),
         None if duels.queries is None else sorted(duels.queries.charged.ravel().tolist())) for duels in results.duels] + [
        (detections.done.tolist(), np.where(detections.shown, detections.attacked, 0).tolist(),
         np.where(detections.shown, detections.clean, 0).tolist())
        for detections in (results.detections,) if detections is not None]


def tables(place: Place) -> dict[str, Any]:
    """As ``place.tables``, without a figure that depends on the order of rows, which is drawn.

    These images are so near to each other that a row is charged to two of them, so that one's first query may be its second.
    """
    shown = place.tables()
    for rows in shown["leaderboard"]["tracks"].values():
        for row in rows:
            row.pop("median_queries", None)
    return shown
