"""One row of the corpus: what is tried, how the entry is built, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.sandbox.outcomes import Outcome

Track = str
#: Outputs expected of each run: a number, all that were asked for, or none; ``any`` where it depends on a race that the program
#: can only lose for itself.
Count = int | Literal["all", "none", "any"]


@dataclass(frozen=True)
class Row:
    """One try.

    Attributes:
        name: Unique, as in the threat model.
        tries: What it tries, to end the sentence "a submission that ...".
        outcomes: What each of its runs may end with; empty where it must be refused at ``submit``.
        usable: Outputs accepted in each run.
        refused: Outputs refused in each run.
        track: Attack, targeted attack, defense or detector.
        program: Its file below ``programs/``; ``<name>.py`` where empty.
        build: How the entry is made of it (a name in ``build.MAKERS``).
        options: What the maker is told.
        profile: The sandbox profile.
        serves: Whether it speaks the serving protocol.
        access: What an attack says that it knows of its opponents.
        white_box: Of a defense, the file below ``programs/`` that who may read it finds as its ``whitebox.py``.
        duel: Whether it takes part in the tournament of duels, and in no other.
        hunts: Whether it must say that its hunt is complete, and with nothing found.
        finds: Words that each must appear in a ``FOUND`` line: for controls, which show that a hunter works.
        check: A further look (a name in ``judge.CHECKS``).
        areas: A further look at the areas under the ROC curve, of whoever takes part in the tournament of detectors (a name in
            ``judge.AREAS``).
        sentence: For an entry refused at ``submit``: words of the sentence that says why.
        process: Whether the process sandbox makes the same promise.
    """

    name: str
    tries: str
    outcomes: frozenset[Outcome] = frozenset()
    usable: Count = "all"
    refused: Count = "none"
    track: Track = "attack"
    program: str = ""
    build: str = "directory"
    options: Mapping[str, object] = field(default_factory=dict)
    profile: Literal["strict", "legacy"] = "legacy"
    serves: bool = False
    access: str = ""
    white_box: str = ""
    duel: bool = False
    hunts: bool = False
    finds: tuple[str, ...] = ()
    check: str = ""
    areas: str = ""
    sentence: str = ""
    process: bool = False

    @property
    def file(self) -> str:
        """Its program's file name."""
        return self.program or f"{self.name}.py"

    @property
    def expected(self) -> str:
        """What must come of it, for people."""
        if self.sentence:
            return "refused at submit"
        return " or ".join(sorted(outcome.value for outcome in self.outcomes))


def one_of(*outcomes: Outcome) -> frozenset[Outcome]:
    """The outcomes that a row may end with."""
    return frozenset(outcomes)
