"""Why a run ended: one frozen table, everything else is derived from it.

Three facts stay apart. What the harness did (``Ending``: it let the program finish, or killed it for a reason), what the
program returned (its exit code), and what it left behind (its outputs). ``classify`` joins them into one ``Outcome``.
"""

# ruff: noqa: FBT003 - the table reads by its columns, in the order of the class above it
from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Outcome(StrEnum):
    """Why a run ended, as stored and shown."""

    OK = "ok"
    EXITED_NONZERO = "exited_nonzero"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    NO_OUTPUT = "no_output"
    BAD_OUTPUT = "bad_output"
    START_FAILED = "start_failed"
    IMAGE_MISSING = "image_missing"
    HOST_ERROR = "host_error"
    CANCELLED = "cancelled"


#: The number that stands for an outcome in stored score records. Numbers are never changed nor given again: a new outcome takes the
#: next one, wherever it stands above.
NUMBERS: dict[Outcome, int] = {
    Outcome.OK: 0, Outcome.EXITED_NONZERO: 1, Outcome.TIME_LIMIT: 2, Outcome.MEMORY_LIMIT: 3, Outcome.OUTPUT_LIMIT: 4,
    Outcome.NO_OUTPUT: 5, Outcome.BAD_OUTPUT: 6, Outcome.START_FAILED: 7, Outcome.IMAGE_MISSING: 8, Outcome.HOST_ERROR: 9,
    Outcome.CANCELLED: 10,
}


class Ending(StrEnum):
    """What the harness saw or did at the end of a program; the sandbox alone decides it."""

    FINISHED = "finished"
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    START_FAILED = "start_failed"
    IMAGE_MISSING = "image_missing"
    HOST_ERROR = "host_error"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Policy:
    """What an outcome means for the tournament.

    Attributes:
        blame: Who has to act. ``nobody`` for a good run and for a cancelled one.
        final: Whether the run counts as done (its outputs, possibly none, are scored); otherwise it is run again by itself.
        outputs_used: Whether what lies complete in the output counts.
        sentence: What the author is told.
        next_step: What the author or organiser can do.
    """

    blame: Literal["nobody", "submission", "host"]
    final: bool
    outputs_used: bool
    sentence: str
    next_step: str


POLICY: dict[Outcome, Policy] = {
    Outcome.OK: Policy("nobody", True, True, "The program finished and every output was accepted.", ""),
    Outcome.EXITED_NONZERO: Policy(
        "submission", True, True,
        "The program ended by itself with an exit code other than 0; what it had written counts.",
        "Read its stderr with `harness logs`."),
    Outcome.TIME_LIMIT: Policy(
        "submission", True, True,
        "The program was killed at the time limit; what was complete by then counts.",
        "Write each image as soon as it is ready, and do less work per image."),
    Outcome.MEMORY_LIMIT: Policy(
        "submission", True, True,
        "The kernel killed the program because it used more memory than allowed; what it had written counts.",
        "Process fewer images at once, or ask the organiser for the limit."),
    Outcome.OUTPUT_LIMIT: Policy(
        "submission", True, True,
        "The program wrote more than a run may write and was killed; what was complete counts.",
        "Write only the images (or result.csv) that the contract asks for."),
    Outcome.NO_OUTPUT: Policy(
        "submission", True, False,
        "The program ended with exit code 0 but left no usable output.",
        "Check that it writes to the path given as its last path argument."),
    Outcome.BAD_OUTPUT: Policy(
        "submission", True, True,
        "Some outputs were refused; the others count.",
        "See the reason given for each refused output with `harness show`."),
    Outcome.START_FAILED: Policy(
        "submission", True, False,
        "The program could not be started (entry point missing, not executable, CRLF in its first line, or wrong architecture).",
        "Run `harness validate` on the submission; it names the cause."),
    Outcome.IMAGE_MISSING: Policy(
        "submission", True, False,
        "The Docker image that the submission names is not on this host and cannot be pulled.",
        "Build or pull the image, then run `harness run --fresh NAME`."),
    Outcome.HOST_ERROR: Policy(
        "host", False, False,
        "The host or the harness failed, not the program; the run is tried again and never scored.",
        "Run `harness doctor`."),
    Outcome.CANCELLED: Policy(
        "nobody", False, False,
        "The run was stopped together with the harness; it runs again with the next `harness run`.", ""),
}


def leaves_output(ending: Ending) -> bool:
    """Whether what a program has left is read back after this ending."""
    return ending is Ending.FINISHED or POLICY[Outcome(ending.value)].outputs_used


def classify(ending: Ending, exit_code: int | None, *, usable: int, refused: int) -> Outcome:
    """Join what the harness did, what the program returned and what it left behind.

    Args:
        ending: The sandbox's verdict.
        exit_code: The program's exit code, None where it never ran or was killed by the harness.
        usable: Outputs accepted (images decoded, or labels read).
        refused: Outputs that were there but refused.
    """
    if ending is not Ending.FINISHED:
        return Outcome(ending.value)
    if exit_code != 0:
        return Outcome.EXITED_NONZERO
    if usable == 0 and refused == 0:
        return Outcome.NO_OUTPUT
    return Outcome.BAD_OUTPUT if refused else Outcome.OK
