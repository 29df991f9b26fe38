"""The kinds of submission, as one frozen table: what each is given, what it leaves, and what its tables are called.

There are two sides. A producer makes images out of clean ones; a consumer answers about the images that it is given. Nothing
else in the project compares a submission's type with a name: it asks this table, so that a new kind cannot be taken for an
attack by a comparison that somebody forgot (a test forbids such comparisons elsewhere).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeVar


class Side(StrEnum):
    """Which side of a tournament a submission is on."""

    PRODUCER = "producer"
    CONSUMER = "consumer"


class Threat(StrEnum):
    """What an attack may change (``formats.threats``)."""

    LINF = "linf"
    L2 = "l2"
    PATCH = "patch"
    UNRESTRICTED = "unrestricted"


class Access(StrEnum):
    """What an attack may know of its opponents: nothing and all of them at once, or one of them, in a duel."""

    BLACK_BOX = "black_box"
    GREY_BOX = "grey_box"
    WHITE_BOX = "white_box"
    QUERY = "query"


#: Accesses under which an attack meets one defense at a time.
DUELS = (Access.GREY_BOX, Access.WHITE_BOX, Access.QUERY)


class Answers(StrEnum):
    """What a consumer answers about each image, as the numpy type that its answers are stored in.

    Who labels images is run on the clean images and on what attacks made, and is an opponent of the attacks. Who scores how
    likely an image is adversarial is run on halves, where clean and attacked images are mixed, and is nobody's opponent.
    """

    LABELS = "int16"
    SCORES = "float32"


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A share in [0, 1] that the tables show of one kind of submission, beside what they show of all.

    Attributes:
        name: In JSON and CSV.
        title: Of its column on a terminal; none there where it is empty.
    """

    name: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One kind of submission.

    Attributes:
        name: As ``type`` in metadata.json and everywhere else.
        title: Of its table.
        side: Producer or consumer.
        score: What its score is the share of.
        cell: What a cell of the matrix shows for it, in percent.
        output: The file that it leaves in its output directory; None where it leaves images.
        reader: Who reads that file, as ``module:function`` (an ``AnswerReader``); None where it leaves images.
        formula: How it is scored, as ``module:name`` (a ``scoring.formula.Formula``).
        answers: What that file holds; None where it leaves images.
        takes_bound: Whether the bound follows as its third argument.
        takes_targets: Whether it finds ``target_class.csv`` among its input.
        figures: What its table shows beside the columns that all tables have.
        ranking: 2017's file of its ranking, and the heading of the names in it; None for a track that 2017 did not have.
    """

    name: str
    title: str
    side: Side
    score: str
    cell: str
    formula: str
    output: str | None = None
    reader: str | None = None
    answers: Answers | None = None
    takes_bound: bool = False
    takes_targets: bool = False
    figures: tuple[Figure, ...] = ()
    ranking: tuple[str, str] | None = None

    @property
    def output_dir(self) -> str:
        """Where its program writes, inside of a container."""
        return "/output_images" if self.output is None else "/output_data"

    @property
    def unit(self) -> str:
        """What it answers for each image, in the plural."""
        return "images" if self.answers is None else self.answers.name.lower()


_UNDETECTED = Figure(name="undetected", title="undet")
ATTACK = Track(
    name="attack", title="Non-targeted attacks", side=Side.PRODUCER, score="share of images that defenses got wrong",
    cell="% of images that the defense did not label correctly", formula="harness.scoring.shares:ATTACK", takes_bound=True,
    figures=(_UNDETECTED,), ranking=("attack_ranking.csv", "AttackName"))
TARGETED_ATTACK = Track(
    name="targeted_attack", title="Targeted attacks", side=Side.PRODUCER, score="share of images labelled as the target class",
    cell="% of images that the defense labelled as the target class",
    formula="harness.scoring.shares:TARGETED_ATTACK", takes_bound=True, takes_targets=True, figures=(_UNDETECTED,),
    ranking=("targeted_attack_ranking.csv", "AttackName"))
DEFENSE = Track(
    name="defense", title="Defenses", side=Side.CONSUMER, score="share of adversarial images labelled correctly",
    cell="% of adversarial images that the defense labelled correctly", formula="harness.scoring.shares:DEFENSE",
    output="result.csv", reader="harness.formats.result_csv:read_labels", answers=Answers.LABELS,
    figures=(Figure(name="clean_accuracy", title="clean"), Figure(name="rejected", title="rej"),
             Figure(name="clean_rejected", title="clean rej")), ranking=("defense_ranking.csv", "DefenseName"))
DETECTOR = Track(
    name="detector", title="Detectors", side=Side.CONSUMER, score="area under the ROC curve, mean over attacks",
    cell="area under the ROC curve, in %", formula="harness.scoring.detectors:DETECTOR", output="scores.csv",
    reader="harness.formats.scores_csv:read_scores", answers=Answers.SCORES,
    figures=(Figure(name="auroc_fooling", title="fooling"), Figure(name="tpr_at_5_fpr", title="TPR5"),
             Figure(name="tpr_at_1_fpr", title="TPR1"), Figure(name="best_f1", title="F1"),
             Figure(name="f1_frozen", title="F1@5"), Figure(name="aupr", title="AUPR"), Figure(name="prevalence")))

_ROWS = {track.name: track for track in (ATTACK, TARGETED_ATTACK, DEFENSE, DETECTOR)}
#: By name, in the order in which their tables are shown.
TRACKS: Mapping[str, Track] = MappingProxyType(_ROWS)


def figure_names() -> tuple[str, ...]:
    """The names of all tracks' figures, each once, in the order of the rows."""
    return tuple(dict.fromkeys(figure.name for track in TRACKS.values() for figure in track.figures))


class _Typed(Protocol):
    @property
    def type(self) -> str:
        """The name of a track."""


T = TypeVar("T", bound=_Typed)


def produces(name: str) -> bool:
    """Whether submissions of this track make images."""
    return TRACKS[name].side is Side.PRODUCER


def consumes(name: str) -> bool:
    """Whether submissions of this track answer about images."""
    return TRACKS[name].side is Side.CONSUMER


def producers(submissions: Iterable[T]) -> list[T]:
    """Those that make images, in their order."""
    return [submission for submission in submissions if produces(submission.type)]


class _Attacking(_Typed, Protocol):
    @property
    def access(self) -> str:
        """A name of ``Access``."""


A = TypeVar("A", bound=_Attacking)


def attackers(submissions: Iterable[A]) -> list[A]:
    """Those that make images for all defenses alike, in their order."""
    return [submission for submission in producers(submissions) if submission.access == Access.BLACK_BOX]


def duellists(submissions: Iterable[A]) -> list[A]:
    """Those that make images for one defense at a time, in their order."""
    return [submission for submission in producers(submissions) if submission.access != Access.BLACK_BOX]


def consumers(submissions: Iterable[T]) -> list[T]:
    """Those that answer about images, in their order."""
    return [submission for submission in submissions if consumes(submission.type)]


def labels(name: str) -> bool:
    """Whether submissions of this track label images: the opponents of attacks."""
    return TRACKS[name].answers is Answers.LABELS


def detects(name: str) -> bool:
    """Whether submissions of this track score how likely images are adversarial."""
    return TRACKS[name].answers is Answers.SCORES


def labellers(submissions: Iterable[T]) -> list[T]:
    """Those that label images, in their order."""
    return [submission for submission in submissions if labels(submission.type)]


def detectors(submissions: Iterable[T]) -> list[T]:
    """Those that score how likely images are adversarial, in their order."""
    return [submission for submission in submissions if detects(submission.type)]
