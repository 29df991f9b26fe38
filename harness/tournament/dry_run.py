"""A submission tried on one real batch, and everything that its author should know of the run.

The dynamic half of `harness validate`: the same executor and the same sandbox as the tournament, so that what passes here
passes there. It names every finding; a finding that costs points is a problem, one that does not is a remark.
"""

from __future__ import annotations

import math
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from harness.config import Query, Rejection
from harness.dataset.load import Batch, Dataset
from harness.errors import EngineError
from harness.execution.executor import Executor
from harness.execution.job import Job, RunResult
from harness.execution.outputs import OutputReader
from harness.execution.outputs.reader import resized_note
from harness.execution.session_pool import SessionPool
from harness.formats.answers import AnswerReader, Reading
from harness.formats.images import encode_perturbation, pixel_digest
from harness.formats.result_csv import REJECTED, out_of_range, read_class_scores, score_columns
from harness.sandbox.base import CodeImages, Limits, Program, Sandbox, Target
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.outcomes import POLICY, Outcome
from harness.scoring.detection import against, separation
from harness.store.artifacts import ArtifactStore
from harness.store.blobs import FileBlobs
from harness.submission import code_tree
from harness.submission.hints import hint
from harness.submission.load import Submission, freeze, misspelt_fields
from harness.submission.problems import Problem
from harness.tournament.query_trial import QueryTrial
from harness.tournament.white_box_trial import judge_white_box, probe_digest
from harness.tracks import TRACKS, Access, Threat, detects, labels, produces

#: Share of a limit above which an author is told, and above which it is a problem: 2017's best used up to 0.99 of their time on
#: purpose, and what is within the limits costs no points until a slightly slower host passes them.
_CLOSE, _TOO_CLOSE = 0.7, 0.95
#: A defense's labels are called guesses where guessing does as well with this probability or more ...
_LIKELY_CHANCE = 0.05
#: ... and the batch is large enough for a perfect answer to be no guess.
_NO_CHANCE = 0.001
#: Labels moved by one must be this much better before we call them off by one.
_OFF_BY_ONE_MARGIN = 0.3
#: How far a value of an image is moved that a detector is tried on.
_NOISE = 16
#: Standard deviations below .5 from which an AUROC is called the wrong way round; five images of each kind can come to 2.6.
_FAR_BELOW_CHANCE = 2.5
#: Enough for the end of a traceback, whose last line says what is wrong.
_LAST_LINES = 6


#: Reasons for refused outputs that are listed one by one.
_MOST_REASONS = 5
#: What is measured of an attack's images.
_MEASURED = {Threat.LINF: "Largest change of a pixel", Threat.L2: "Largest L2 norm of a change",
             Threat.PATCH: "Largest side of a changed square", Threat.UNRESTRICTED: "Largest change of a pixel"}


@dataclass
class Trial:
    """What a run on one batch showed.

    Attributes:
        result: The one-shot run.
        problems: What costs points; empty for a valid submission.
        remarks: What is good to know.
    """

    result: RunResult
    problems: list[Problem] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Duel:
    """The one opponent of an attack, where its access requires one.

    Attributes:
        opponent: A defense that is open to it.
        queries: What it is given where it asks.
    """

    opponent: Submission
    queries: Query

    def target_of(self, access: Access) -> Target | None:
        """What the attack may read."""
        parts = {Access.WHITE_BOX: "", Access.GREY_BOX: self.opponent.base}
        return Target(self.opponent.digest, parts[access], self.opponent.code_dir) if access in parts else None


def program_of(submission: Submission, rules: ImageRules | None = None, *, gpu: bool = False,
               target: Target | None = None) -> Program:
    """What the sandbox starts for a submission that is not registered."""
    container = (submission.container_gpu if gpu else None) or submission.container
    return Program(digest=submission.digest, image=container or None, code_dir=submission.code_dir,
                   entry_point=submission.entry_point, profile=submission.profile, serves=submission.serves,
                   rules=rules or ImageRules(), target=target)


def try_out(submission: Submission, dataset: Dataset, batch: Batch, sandbox: Sandbox, limits: Limits,
            gpu: str | None = None, cancel: threading.Event | None = None, rules: ImageRules | None = None,
            rejection: Rejection | None = None, duel: Duel | None = None, queries: Query | None = None) -> Trial:
    """Run a submission on a batch, one-shot and (where it says it can) served; on a GPU where one is named.

    An attack that meets its opponents alone meets that of ``duel``; one that asks is served only. Of a defense it is looked at
    whether it gives what ``queries`` are answered, where the tournament has any.
    """
    cancel = cancel or threading.Event()
    with tempfile.TemporaryDirectory(prefix="harness-validate-") as directory:
        work = Path(directory)
        work.chmod(0o711)
        left_out = code_tree.survey(submission.code_dir).left_out if submission.code_dir is not None else {}
        bare = _lacks_exec_bit(submission)
        # The same files that the contest would run.
        submission = freeze(submission, work / "submissions")
        duel = None if duel is None else replace(duel, opponent=freeze(duel.opponent, work / "submissions"))
        target = None if duel is None else duel.target_of(submission.access)
        program = program_of(submission, rules, gpu=gpu is not None, target=target)
        sessions = SessionPool(sandbox, work / "work", limits.memory_bytes)
        artifacts = ArtifactStore(FileBlobs(work / "artifacts"))
        seen = _ScoresSeen(queries, dataset.label_range) if Access.QUERY in submission.open_to else None
        executor = Executor(dataset, sandbox, artifacts, work / "work", sessions, reader=seen)
        shown = _half_attacked(dataset, batch, artifacts) if detects(submission.type) else _Shown(batch.clean_digest)
        try:
            run = partial(_run, executor, submission, batch, shown, limits, gpu, cancel)
            if duel is not None and submission.access is Access.QUERY:
                query = QueryTrial(submission, duel.opponent, dataset, batch, duel.queries)
                against = program_of(duel.opponent, rules, gpu=gpu is not None)
                trial = Trial(query.play(sessions, program, against, limits, gpu, cancel), query.problems, query.remarks)
            else:
                trial = Trial(run(program, served=False))
            _judge(trial, submission, batch, limits)
            if detects(submission.type):
                _judge_scores(trial, shown.attacked)
            elif labels(submission.type):
                _judge_labels(trial, batch)
                _judge_range(trial, dataset.label_range, rejections=rejection is not None)
                if rejection is not None:
                    _judge_rejections(trial, rejection.max_clean)
                _judge_guesses(trial, batch, dataset.label_range)
                trial.remarks += seen.remarks() if seen is not None else []
            if submission.open_to:
                found = judge_white_box(submission, program, trial.result.answers, partial(run, served=False), work)
                trial.problems += found[0]
                trial.remarks += found[1]
            if submission.serves and submission.access is not Access.QUERY:
                _judge_served(trial, run(program, served=True))
        finally:
            executor.close()
            if isinstance(sandbox, CodeImages):
                others = [] if duel is None else [duel.opponent.digest]
                sandbox.remove_code_images([submission.digest, probe_digest(), *others], "validate")
    trial.remarks += [f"Left out of its code: {count} {what}." for what, count in left_out.items()]
    trial.remarks += _unread(submission)
    if bare:
        trial.remarks.append(f"{submission.entry_point} is not executable; the copy that runs is (profile legacy).")
    return trial


class _ScoresSeen(OutputReader):
    """Reads what a defense leaves, and looks at the scores of all classes beside its labels, which only query attacks are given.

    Args:
        queries: What those are answered; None where the tournament has none.
        label_range: Of the data set.
    """

    def __init__(self, queries: Query | None, label_range: tuple[int, int]) -> None:
        super().__init__()
        self._classes = label_range[1] - label_range[0] + 1 if queries is not None and queries.answers == "scores" else 0
        self._columns = np.zeros(0, np.int32)
        self._lacking = 0

    def read_answers(self, output_dir: Path, file: str, read: AnswerReader, names: Sequence[str | None]) -> Reading:
        """See ``Track.reader``."""
        def looked_at(data: bytes, names: Sequence[str | None]) -> Reading:
            labelled = (columns := score_columns(data, names)) >= 0
            self._columns = columns[labelled]
            scores = read_class_scores(data, names, self._classes)[labelled]
            self._lacking = int(np.count_nonzero(np.isnan(scores).any(axis=1)))
            return read(data, names)

        return super().read_answers(output_dir, file, looked_at, names)

    def remarks(self) -> list[str]:
        """What there is to say of the scores that were read last."""
        if not self._classes or not len(self._columns):
            return []
        least, most = int(self._columns.min()), int(self._columns.max())
        found = f"{least}" if least == most else f"{least} to {most}"
        found += f" {'column' if found == '1' else 'columns'}, empty ones included"
        if not most:
            said = "It gives no scores beside its labels; this tournament gives query attacks those of the defenses that do."
        elif self._lacking:
            said = (f"{self._lacking} of {len(self._columns)} labelled images {'has' if self._lacking == 1 else 'have'} no scores: "
                    f"the row of an image needs a finite number for each of the {self._classes} labels of the data set, and behind "
                    f"its own label it has {found}.")
        elif most > self._classes:
            said = (f"Of its scores the first {self._classes} are read, one for each label of the data set; behind its own label "
                    f"the row of an image has {found}.")
        else:
            said = f"It gives scores of all {self._classes} labels."
        return [said]


def _unread(submission: Submission) -> list[str]:
    """What its metadata say without effect."""
    if submission.code_dir is None:
        return []
    said = [f"metadata.json: unknown field {field!a}. Did you mean `{known}`?"
            for field, known in misspelt_fields(submission.code_dir).items()]
    if submission.base and Access.GREY_BOX not in submission.open_to:
        said.append(f"base: there is no whitebox.py in {submission.base!a}, so that grey-box attacks do not meet this defense.")
    return said


def _lacks_exec_bit(submission: Submission) -> bool:
    if submission.code_dir is None or submission.entry_point is None:
        return False
    path = submission.code_dir / submission.entry_point
    return path.is_file() and not path.stat().st_mode & 0o111


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a submission is tried on.

    Attributes:
        parts: As for a job; none for the clean batch.
        attacked: bool [n], which images are shown attacked.
    """

    digest: str
    parts: tuple[tuple[str, bool, NDArray[np.intp]], ...] = ()
    attacked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))


def _half_attacked(dataset: Dataset, batch: Batch, artifacts: ArtifactStore) -> _Shown:
    """The batch with every other image changed by noise: each value up or down."""
    clean = dataset.pixels(batch)
    everything = np.ones(len(clean), bool)
    signs = default_rng(0).integers(0, 2, clean.shape, np.int16) * 2 - 1
    noisy = (clean + signs * _NOISE).clip(0, 255).astype(np.uint8)
    digest = pixel_digest(noisy, everything)
    artifacts.save(digest, clean, encode_perturbation(clean, noisy, everything))
    attacked = np.arange(len(clean)) % 2 == 0
    mixed = np.where(attacked[:, None, None, None], noisy, clean)
    return _Shown(pixel_digest(mixed, everything), (
        (batch.clean_digest, True, np.flatnonzero(~attacked)), (digest, False, np.flatnonzero(attacked))), attacked)


def _run(executor: Executor, submission: Submission, batch: Batch, shown: _Shown, limits: Limits,
         gpu: str | None, cancel: threading.Event, program: Program, *, served: bool) -> RunResult:
    job = Job(run_id=int(served), attempt=1, name=submission.name, track=submission.type,
              program=program, batch=batch.unlabelled(), input_digest=shown.digest,
              produced=np.ones(len(batch.ids), bool), limits=limits, clean=not shown.parts, served=served, parts=shown.parts,
              labels={"tournament": "validate"})
    result = executor.collect(executor.perform(executor.prepare(job), gpu, cancel))
    if result.outcome is Outcome.HOST_ERROR:
        raise EngineError(f"{submission.name} could not be tried, which is not its fault: {result.report.detail}",
                          "Run `harness doctor`, then validate it again.")
    return result


def _judge(trial: Trial, submission: Submission, batch: Batch, limits: Limits) -> None:
    result, report = trial.result, trial.result.report
    policy = POLICY[result.outcome]
    if result.outcome is not Outcome.OK:
        detail = f" ({report.detail})" if report.detail else f" (exit code {report.exit_code})"
        trial.problems.append(Problem(f"run: {result.outcome.value}", policy.sentence + detail,
                                      _last_output(report.stderr) or policy.next_step))
    what = TRACKS[submission.type].unit
    absent = result.expected - result.usable - len(result.refused)
    if absent > 0:
        trial.problems.append(Problem("output", f"{absent} of {result.expected} {what} are missing.",
                                      "Write one for every input file, under the same name."))
    reasons: dict[str, list[str]] = {}
    for image, reason in result.refused.items():
        reasons.setdefault(reason, []).append(image)
    told = list(reasons.items())
    if len(told) > _MOST_REASONS:
        others = [image for _, images in told[_MOST_REASONS - 1:] for image in images]
        told[_MOST_REASONS - 1:] = [("for reasons like these", others)]
    for reason, images in told:
        trial.problems.append(Problem("output", f"{len(images)} refused, {images[0]} for one: {reason}."))
    trial.remarks += result.notes
    _judge_resources(trial, limits)
    if produces(submission.type):
        _judge_pixels(trial, batch, baseline=submission.baseline)


def _last_output(stderr: str) -> str:
    """What the end of what a program wrote suggests, and that end: `harness logs` has nothing of a trial."""
    lines = stderr.strip().splitlines()[-_LAST_LINES:]
    return "\n    ".join([*filter(None, [hint(stderr)]), "The end of its stderr:", *lines]) if lines else ""


def _judge_resources(trial: Trial, limits: Limits) -> None:
    report = trial.result.report
    trial.remarks.append(f"It took {report.wall_s:.1f} s of {limits.time_limit_s:.0f} s.")
    _judge_share(trial, "time", report.wall_s / limits.time_limit_s, "Do less work per image: the contest's host may be slower.")
    if report.peak_memory_bytes:
        trial.remarks.append(f"It used up to {report.peak_memory_bytes >> 20} MiB of {limits.memory_bytes >> 20} MiB.")
        _judge_share(trial, "memory", report.peak_memory_bytes / limits.memory_bytes, "Process fewer images at once.")


def _judge_share(trial: Trial, what: str, share: float, step: str) -> None:
    if share > _TOO_CLOSE:
        trial.problems.append(Problem(what, f"{share:.0%} of the limit: a slightly slower host exceeds it.", step))
    elif share > _CLOSE:
        trial.remarks.append(f"That is {share:.0%} of the {what} limit: mind that the contest's host may be slower.")


def _judge_pixels(trial: Trial, batch: Batch, *, baseline: bool) -> None:
    result = trial.result
    if result.measured is None:
        return
    trial.remarks.append(f"{_MEASURED[batch.threat]}: {result.measured} of {batch.bound} allowed.")
    if result.beyond and batch.threat is Threat.PATCH:
        trial.remarks.append(f"{result.beyond} of {result.expected} images changed outside of one square: they are refused.")
    elif result.beyond:
        done = "clips" if batch.threat is Threat.LINF else "scales back"
        trial.remarks.append(f"The harness {done} what exceeds the bound, without penalty, here in {result.beyond} of "
                             f"{result.expected} images: those that count differ from the attack's own.")
    elif result.measured == 0 and batch.bound:
        unchanged = "No pixel of any image was changed."
        if baseline:
            trial.remarks.append(unchanged)
        else:
            trial.problems.append(Problem("output", unchanged, "Check that what is computed is saved, rounded, as 8-bit images."))
    if resized_note(result.usable) in result.notes:
        trial.problems.append(Problem("output", "every image has another size than its clean one and was resized.",
                                      "Save images of the size that they were read in: resizing undoes part of a perturbation."))


def _judge_labels(trial: Trial, batch: Batch) -> None:
    answers = trial.result.answers
    if answers is None or not trial.result.usable:
        return
    labels = answers.values
    accuracy = _accuracy(labels, batch.labels)
    trial.remarks.append(f"Clean accuracy on this batch: {accuracy:.2f}.")
    for offset, words in ((1, "one too low"), (-1, "one too high")):
        if _accuracy(labels + offset, batch.labels) > accuracy + _OFF_BY_ONE_MARGIN:
            trial.problems.append(Problem(
                "labels", f"they look {words}: shifted by one they are right {_accuracy(labels + offset, batch.labels):.0%} of "
                f"the time instead of {accuracy:.0%}.", "Check the label offset (2017's labels start at 1, torch's at 0)."))


def _judge_rejections(trial: Trial, max_clean: float) -> None:
    answers = trial.result.answers
    if answers is not None and (rejected := int(np.count_nonzero(answers.values == REJECTED))):
        trial.remarks.append(f"It rejected {rejected} of {len(answers.values)} clean images. Over {max_clean:.3g} of all clean "
                             "images, its rejections count as wrong.")


def _judge_range(trial: Trial, label_range: tuple[int, int], *, rejections: bool) -> None:
    answers = trial.result.answers
    if any(problem.field_or_file == "labels" for problem in trial.problems):
        return  # off by one: the reason has been reported
    if answers is not None and (beyond := out_of_range(answers.values, label_range, rejections=rejections)):
        low, high = label_range
        trial.problems.append(Problem(
            "labels", f"{beyond} of {trial.result.expected} lie outside of {low}..{high} and count as wrong.",
            "Answer with the data set's own labels (2017's start at 1, torch's at 0)."))


def _judge_guesses(trial: Trial, batch: Batch, label_range: tuple[int, int]) -> None:
    """Labels that cost points all the same: one answer for all images, or no more right ones than guessing gives."""
    answers = trial.result.answers
    if answers is None or not trial.result.usable or any(problem.field_or_file == "labels" for problem in trial.problems):
        return
    labels = answers.values
    images, share = len(batch.labels), 1 / (label_range[1] - label_range[0] + 1)
    if share**images > _NO_CHANCE:
        return  # too few to decide
    right = int(np.count_nonzero(labels == batch.labels))
    given = np.unique(labels[answers.given])
    if len(given) == 1 and len(np.unique(batch.labels)) > 1:
        trial.problems.append(Problem("labels", f"every answer is {given[0]}, whatever the image.",
                                      "Check how images are read and scaled before they reach the model."))
    elif _at_least(right, images, share) > _LIKELY_CHANCE:
        trial.problems.append(Problem("labels", f"{right} of {images} are right on clean images, no better than guessing.",
                                      "Check the weights, the order of the classes, and how images are scaled."))


def _judge_scores(trial: Trial, attacked: NDArray[np.bool_]) -> None:
    """Scores that cost points all the same: one for all images, or the wrong way round."""
    answers = trial.result.answers
    if answers is None or not trial.result.usable:
        return
    given = answers.values[answers.given]
    if len(given) > 1 and (given == given[0]).all():
        trial.problems.append(Problem("scores", f"every score is {given[0]:g}, whatever the image.",
                                      "Check how images are read and scaled before they reach the detector."))
        return
    adversarial, clean = (against(answers.values, adversarial=side)[attacked == side] for side in (True, False))
    count = min(len(adversarial), len(clean))
    if not count:
        return
    area = separation(adversarial[:count], clean[:count])[0]
    trial.remarks.append(f"AUROC on this batch, half of it with noise of {_NOISE} of 255: {area:.2f} (chance is 0.50).")
    # Mann and Whitney's statistic has this standard deviation where scores say nothing.
    chance = math.sqrt((2 * count + 1) / (12 * count * count))
    if answers.given.all() and (0.5 - area) / chance > _FAR_BELOW_CHANCE:
        trial.problems.append(Problem(
            "scores", f"clean images score higher than adversarial ones (AUROC {area:.2f}): higher must mean adversarial.",
            "Negate the score."))


def _at_least(successes: int, trials: int, share: float) -> float:
    """The probability of that many successes or more (binomial)."""
    return sum(math.comb(trials, k) * share**k * (1 - share)**(trials - k) for k in range(successes, trials + 1))


def _accuracy(labels: NDArray[np.int16], truth: NDArray[np.int32]) -> float:
    return float(np.mean(labels == truth))


def _judge_served(trial: Trial, served: RunResult) -> None:
    if served.outcome is not Outcome.OK:
        policy = POLICY[served.outcome]
        detail = served.report.detail or served.report.stderr[-300:]
        trial.problems.append(Problem(f"serving: {served.outcome.value}", f"{policy.sentence} ({detail})",
                                      'Remove "protocol": "serve", or answer every batch as docs/submissions.md says.'))
        return
    trial.remarks.append(f"It serves: a batch took {served.report.wall_s:.1f} s once it was ready.")
    once = trial.result
    # Pixels by their digest: comparing what was made would compare arrays.
    same = (served.made and served.made.digest) == (once.made and once.made.digest)
    if served.answers is not None and once.answers is not None:
        same = bool(np.array_equal(served.answers.values, once.answers.values))
    if not same:
        trial.remarks.append("Served and one-shot outputs differ: it is randomised, or carries state between batches.")
