"""A round as its report shows it: everything on the page as plain values, so that the page itself reads no store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.scoring import Track
from harness.scoring.duel_scores import QueryPoint
from harness.scoring.leaderboard import Leaderboard, Row
from harness.tracks import Access
from harness.views.curves import Curve
from harness.views.logs import LoggedRun
from harness.views.matrix import MatrixView
from harness.views.submission import SubmissionView

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """Every attack against every defense.

    Attributes:
        track: Whose score a cell is.
        part: Of which batches or attacks, in words; empty for all.
    """

    track: Track
    part: str
    view: MatrixView


@dataclass(frozen=True, kw_only=True)
class QueryCurve:
    """What a query attack had after so many queries of each image."""

    name: str
    track: Track
    baseline: bool
    points: tuple[QueryPoint, ...]


@dataclass(frozen=True, kw_only=True)
class BestOfRound:
    """The best score of a track in one round, and the best of a baseline."""

    round: str
    track: Track
    own: Row | None
    baseline: Row | None


@dataclass(frozen=True, kw_only=True, eq=False)
class CleanImage:
    """An image of the gallery.

    Attributes:
        label: Its true label, with the class's name where there is one.
        target: Its target class, in the same words.
        bound: What attacks may change of it, in words.
        pixels: uint8[h, w, 3].
    """

    id: str
    label: str
    target: str
    bound: str
    pixels: Pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Attacked:
    """An image of the gallery under an attack.

    Attributes:
        pixels: uint8[h, w, 3].
        asked: Defenses that have answered.
        fooled: Names of those that did not label it correctly, strongest first.
        hit: How many took it for the target class.
    """

    pixels: Pixels
    asked: int
    fooled: tuple[str, ...]
    hit: int


@dataclass(frozen=True, kw_only=True)
class GalleryRow:
    """One attack's images, in the order of the clean ones; None where it left none."""

    name: str
    track: Track
    baseline: bool
    images: tuple[Attacked | None, ...]


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """The same few images under every attack.

    Attributes:
        left_out: Attacks that are not shown, for the size of the file.
    """

    clean: tuple[CleanImage, ...]
    rows: tuple[GalleryRow, ...]
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """One entry with the end of what its failed runs printed."""

    submission: SubmissionView
    logs: tuple[LoggedRun, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportView:
    """The whole page.

    Attributes:
        written: When it was made.
        facts: What this is: (label, text), in the order to show them.
        places: Position of each entry among the attacks or among the defenses, by name.
        whole: Whether the pairs of all entries are listed; a large contest shows the hardest ones only.
    """

    board: Leaderboard
    written: str
    facts: tuple[tuple[str, str], ...] = ()
    maps: tuple[HeatMap, ...] = ()
    curves: tuple[Curve, ...] = ()
    queries: tuple[QueryCurve, ...] = ()
    rounds: tuple[BestOfRound, ...] = ()
    gallery: Gallery | None = None
    entries: tuple[EntryView, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    whole: bool = True

    @property
    def duels(self) -> bool:
        """Whether some attacks meet one defense at a time."""
        return any(row.access not in {None, Access.BLACK_BOX} for rows in self.board.tracks.values() for row in rows)

    @property
    def complete(self) -> bool:
        """Whether every run has ended."""
        return self.board.runs.done == self.board.runs.total
