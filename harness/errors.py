"""The errors a person can cause.

Each carries one sentence that names the file, field or submission, and the next step. The command line prints both and exits
with 2; a traceback is for our own bugs. Nothing here is raised for what an untrusted *output* contains: that is an outcome of
a run (``sandbox/outcomes.py``), never an error of the harness.
"""

from __future__ import annotations


class HarnessError(Exception):
    """A problem on the user's side that stops the command.

    Args:
        problem: One sentence that names the file, field or submission.
        next_step: What to do about it, as an imperative sentence; may be empty where the problem says it.
    """

    def __init__(self, problem: str, next_step: str = "") -> None:
        super().__init__(f"{problem} {next_step}".strip())
        self.problem = problem
        self.next_step = next_step


class ConfigError(HarnessError):
    """``tournament.yaml`` is missing, malformed or has impossible values."""


class DatasetError(HarnessError):
    """A data set is missing, incomplete, or does not match its digest."""


class SubmissionError(HarnessError):
    """A submission's source or metadata cannot be used."""


class ImageUnavailableError(HarnessError):
    """A Docker image is not available locally and could not be pulled."""


class EngineError(HarnessError):
    """What the user asked to run on (Docker, a GPU) is not available."""


class NoEngineError(EngineError):
    """There is no Docker engine on this host: what can do without one may continue, after a warning."""


class StoreError(HarnessError):
    """The state directory or its database cannot be used (not writable, full, newer, in use)."""


class UnknownNameError(HarnessError):
    """A name given on the command line (submission, round, scoring view) is not known."""
