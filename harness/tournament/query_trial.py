"""A query attack tried against one defense: the duel of one batch, as in the contest."""

from __future__ import annotations

import threading

import numpy as np

from harness.config import Query
from harness.dataset.load import Batch, Dataset
from harness.errors import EngineError
from harness.execution.job import RunResult
from harness.execution.outputs import OutputReader
from harness.execution.query_broker import DuelResult, DuelSide, QueryDuel, play
from harness.execution.session_pool import Loan, SessionPool, Wanted
from harness.sandbox.base import Limits, Program, RunReport
from harness.sandbox.outcomes import Outcome, classify
from harness.submission.load import Submission
from harness.submission.problems import Problem
from harness.tracks import TRACKS


class QueryTrial:
    """One duel, with its problems and remarks.

    Attributes:
        problems: What costs the attack points.
        remarks: What is good to know.
    """

    def __init__(self, submission: Submission, opponent: Submission, dataset: Dataset, batch: Batch, queries: Query) -> None:
        self._names = submission.name, opponent.name
        self._baseline = submission.baseline
        self._tracks = submission.type, opponent.type
        self._batch, self._budget = batch, queries.budget
        low, high = dataset.label_range
        self._duel = QueryDuel(
            clean=dataset.pixels(batch), threat=batch.threat, bound=batch.bound, budget=queries.budget,
            classes=high - low + 1 if queries.answers == "scores" else 0,
            targets=batch.targets if TRACKS[submission.type].takes_targets else None)
        self.problems: list[Problem] = []
        self.remarks: list[str] = []

    def play(self, sessions: SessionPool, attack: Program, defense: Program, limits: Limits, gpu: str | None,
             cancel: threading.Event) -> RunResult:
        """Run it; the attack's result.

        Raises:
            EngineError: The host's fault, or the opponent's.
        """
        asks, answers = Wanted(attack, self._tracks[0], limits), Wanted(defense, self._tracks[1], limits)
        reader = OutputReader()
        try:
            with sessions.lend_both(asks, answers, gpu, {"tournament": "validate"}, cancel) as (one, other):
                for loan, name in zip((other, one), reversed(self._names), strict=True):
                    if loan.report is not None:
                        return self._not_started(loan.report, name)
                result = play(self._duel, _duel_side(asks, one), _duel_side(answers, other), reader, cancel)
        finally:
            reader.close()
        for part, name in ((result.opponent, self._names[1]), (result.attack, self._names[0])):
            if part.outcome is Outcome.HOST_ERROR or (part is result.opponent and part.outcome is not Outcome.OK):
                raise _failed_side(name, part.report)
        self._judge(result)
        count = len(self._duel.clean)
        return RunResult(outcome=result.attack.outcome, report=result.attack.report, usable=count, expected=count,
                         notes=result.attack.notes)

    def _not_started(self, report: RunReport, name: str) -> RunResult:
        outcome = classify(report.ending, report.exit_code, usable=0, refused=0)
        if name == self._names[1] or outcome is Outcome.HOST_ERROR:
            raise _failed_side(name, report)
        return RunResult(outcome=outcome, report=report)

    def _judge(self, result: DuelResult) -> None:
        images = len(self._duel.clean)
        truth, targets = self._batch.labels.tolist(), self._duel.targets
        found = {image for image, label, *_ in result.findings.by_label()
                 if label >= 0 and (label != truth[image] if targets is None else label == targets[image])}
        charged = int(result.counts.sum())
        if not result.asked and found:
            self.remarks.append("It asked nothing: only what it returned counts.")
        elif not result.asked and self._baseline:
            self.remarks.append("It asked nothing, and what it returned fools nobody.")
        elif not result.asked:
            self.problems.append(Problem("queries", "it asked nothing, and what it returned fools nobody.", "Query its oracle."))
        self.remarks.append(f"{charged} queries to {self._names[1]} were charged, {np.median(result.counts):g} for the median "
                            f"image, where {self._budget} are allowed. {len(found)} of {images} images were found to fool it.")


def _duel_side(wanted: Wanted, loan: Loan) -> DuelSide:
    assert loan.session is not None  # noqa: S101 - the caller has looked
    return DuelSide(program=wanted.program, track=wanted.track, session=loan.session, workspace=loan.workspace,
                      limits=wanted.limits)


def _failed_side(name: str, report: RunReport) -> EngineError:
    detail = report.detail or report.stderr.strip()[-300:] or f"exit code {report.exit_code}"
    return EngineError(f"The duel could not be run, because of {name}: {detail}",
                       f"Validate {name} by itself, or run `harness doctor`.")
