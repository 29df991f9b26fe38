"""Attacks that are shown their opponent's code and want more, and defenses whose code works against who reads it.

They meet each other, and the honest defenses, in a tournament of their own.
"""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK = one_of(Outcome.OK)


def _saboteur(name: str, tries: str) -> Row:
    """A defense that does its work; what its ``whitebox.py`` does is the reader's to tell."""
    return Row(name, tries, _OK, track="defense", program="honest-mean.py", white_box=f"{name}.py", duel=True, process=True)


ROWS = (
    Row("loads-its-target", "loads the code of each opponent (a control: a saboteur costs it that duel alone)",
        one_of(Outcome.OK, Outcome.EXITED_NONZERO, Outcome.TIME_LIMIT, Outcome.NO_OUTPUT, Outcome.BAD_OUTPUT), "any", "any",
        access="white_box", duel=True, finds=("its target",), check="only_saboteurs_cost", process=True),
    Row("writes-to-its-target", "writes, removes, renames and links what it is shown of its opponent", _OK, access="white_box",
        hunts=True, duel=True),
    Row("hunts-beyond-its-target", "searches for the labels, the database and others' code where it is shown its opponent's", _OK,
        access="white_box", hunts=True, duel=True),
    Row("hunts-beyond-the-base", "searches for the rest of its opponent's code where it is shown the base", _OK,
        access="grey_box", program="hunts-beyond-its-target.py", hunts=True, duel=True),
    _saboteur("target-that-hangs", "waits for ever where its code is loaded"),
    _saboteur("target-that-ends-its-reader", "ends the program that loads its code"),
    _saboteur("target-that-removes-outputs", "removes what the program that loads its code has written"),
    _saboteur("target-that-leaves-processes", "leaves processes that write on in the program that loads its code"),
)
