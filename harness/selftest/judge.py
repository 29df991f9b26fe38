"""Whether a row's result is what the table says. Pure: everything that was seen goes in, sentences come out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.execution.job import Job, RunResult
from harness.sandbox.base import LOG_TAIL_BYTES
from harness.sandbox.outcomes import Outcome
from harness.scoring import Results
from harness.scoring.detection import separation
from harness.scoring.detectors import sides
from harness.selftest.row import Count, Row

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COMPLETE = re.compile(r"^HUNT COMPLETE [1-9]", re.MULTILINE)
_FOUND = re.compile(r"^FOUND .*$", re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """One run of a row's entry and what came of it; ``true_labels`` are those of its batch, int32 [n]."""

    job: Job
    result: RunResult
    true_labels: NDArray[np.int32]

    @property
    def log(self) -> str:
        """All that it printed and that was kept."""
        return f"{self.result.report.stderr}\n{self.result.report.stdout}"


@dataclass(frozen=True)
class Verdict:
    """A row's verdict.

    Attributes:
        got: What came of it, for people.
        problems: Differences from the table; none where the row passes.
    """

    row: Row
    got: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything is as the table says."""
        return not self.problems


def judge(row: Row, seen: Sequence[Seen], results: Results | None = None) -> Verdict:
    """The verdict on a row that took part; ``results`` are the detectors' tournament's, for rows that are judged by areas."""
    got = " ".join(dict.fromkeys(each.result.outcome.value for each in seen)) or "nothing"
    if not seen:
        return Verdict(row, got, ("it was never run",))
    problems = [problem for each in seen for problem in _of_run(row, each)]
    if row.check:
        problems += CHECKS[row.check](seen)
    if row.areas and results is not None:
        problems += AREAS[row.areas](row.name, results)
    return Verdict(row, got, tuple(dict.fromkeys(problems)))


def judge_refusal(row: Row, sentence: str | None) -> Verdict:
    """The verdict on a row that must be refused at ``submit``; None where it was taken."""
    if sentence is None:
        return Verdict(row, "taken", ("it was taken at submit",))
    if row.sentence.lower() not in sentence.lower():
        return Verdict(row, "refused at submit", (f"the sentence is {sentence!r}, without {row.sentence!r}",))
    return Verdict(row, "refused at submit", ())


def _of_run(row: Row, seen: Seen) -> list[str]:
    result = seen.result
    problems = []
    if result.outcome not in row.outcomes:
        report = result.report
        problems.append(f"{result.outcome.value} instead of {row.expected} (exit code {report.exit_code}, {report.detail!r}, "
                        f"stderr {report.stderr[-300:]!r})")
    problems += _counted("usable", row.usable, result.usable, result.expected)
    problems += _counted("refused", row.refused, len(result.refused), result.expected)
    if row.hunts or row.finds:
        problems += _of_hunt(row, seen)
    return problems


def _counted(what: str, wanted: Count, found: int, asked: int) -> list[str]:
    if wanted == "any":
        return []
    number = {"all": asked, "none": 0}[wanted] if isinstance(wanted, str) else wanted
    return [] if found == number else [f"{found} of {asked} outputs were {what} instead of {number}"]


def _of_hunt(row: Row, seen: Seen) -> list[str]:
    problems = [] if _COMPLETE.search(seen.log) else [f"its hunt did not end (log: {seen.log[-300:]!r})"]
    found = _FOUND.findall(seen.log)
    if not row.finds:
        return problems + [line[:200] for line in found]
    missed = [wanted for wanted in row.finds if not any(wanted in line for line in found)]
    return problems + [f"the control did not find {wanted!r}" for wanted in missed]


def _names_the_layer(seen: Sequence[Seen]) -> list[str]:
    details = [each.result.report.detail for each in seen]
    return [f"the detail is {detail!r}" for detail in details if "outside the output directory" not in detail]


def _logs_bounded(seen: Sequence[Seen]) -> list[str]:
    problems = []
    for each in seen:
        for text in (each.result.report.stdout, each.result.report.stderr):
            if len(text.encode()) > LOG_TAIL_BYTES:
                problems.append(f"{len(text)} characters of log were kept")
            if _CONTROL.search(text):
                problems.append("control characters were kept in the log")
    return problems if any(each.log.strip() for each in seen) else ["no log was kept"]


def _exit_code_137(seen: Sequence[Seen]) -> list[str]:
    codes = {each.result.report.exit_code for each in seen}
    return [] if codes == {137} else [f"the exit codes are {codes}"]


def _exit_code_7(seen: Sequence[Seen]) -> list[str]:
    """What the program without any file around it returns: it ran."""
    codes = {each.result.report.exit_code for each in seen}
    return [] if codes == {7} else [f"the exit codes are {codes}"]


def _pixels_kept(seen: Sequence[Seen]) -> list[str]:
    """What was decoded is what the clean image holds: colours survived the file's format."""
    away = [each.result.measured for each in seen if each.result.measured != 0]
    return [f"decoded pixels are up to {measured} away from those written" for measured in away]


def _all_right(seen: Sequence[Seen]) -> list[str]:
    """On the clean images every label that was meant to count is right."""
    clean = [each.result.answers.values == each.true_labels for each in seen if each.job.clean and each.result.answers is not None]
    return [] if clean and all(right.all() for right in clean) else ["its labels of the clean images did not come out as written"]


def _all_wrong(seen: Sequence[Seen]) -> list[str]:
    """Every label was taken, and none is right: an integer that no label range holds is a wrong label, not a missing one."""
    right = [each for each in seen if each.result.answers is None or (each.result.answers.values == each.true_labels).any()]
    return ["a label that no range holds counted as right"] if right else []


def _says_resized(seen: Sequence[Seen]) -> list[str]:
    return [] if all(any("resized" in note for note in each.result.notes) for each in seen) else ["no note says so"]


def _cut_to_epsilon(seen: Sequence[Seen]) -> list[str]:
    """What it left is told as it was; that what was kept lies within epsilon, the store's digest of the pixels shows."""
    return [f"the raw distance is {each.result.measured}" for each in seen if (each.result.measured or 0) <= each.job.batch.bound]


def _same_facts(seen: Sequence[Seen]) -> list[str]:
    """What its runs saw beside pixels was the same each time."""
    facts = {line for each in seen for line in each.log.splitlines() if line.startswith("FACTS ")}
    runs = sum("FACTS " in each.log for each in seen)
    if runs != len(seen) or runs < 2:  # noqa: PLR2004 - to compare takes two
        return [f"only {runs} of {len(seen)} runs told what they saw"]
    return [] if len(facts) == 1 else [f"its runs differ beside pixels: {sorted(facts)}"]


#: What the code of a saboteur costs whoever loads it: the outcome, and how many of its images count ("all" or none).
_SABOTAGE: dict[str, tuple[Outcome, Count]] = {
    "target-that-hangs": (Outcome.TIME_LIMIT, "all"), "target-that-ends-its-reader": (Outcome.EXITED_NONZERO, "all"),
    "target-that-removes-outputs": (Outcome.NO_OUTPUT, "none"), "target-that-leaves-processes": (Outcome.OK, "any")}
_OPPONENT = re.compile(r"^OPPONENT (\S+)$", re.MULTILINE)


def _only_saboteurs_cost(seen: Sequence[Seen]) -> list[str]:
    """Each saboteur costs it at most that duel, and nothing where it meets another."""
    problems = []
    met = {}
    for each in seen:
        name = found[1] if (found := _OPPONENT.search(each.log)) else "nobody"
        met[name] = each
        outcome, usable = _SABOTAGE.get(name, (Outcome.OK, "all"))
        if each.result.outcome is not outcome and usable != "any":
            problems.append(f"{each.result.outcome.value} against {name} instead of {outcome.value}")
        problems += [f"against {name}: {each}" for each in _counted("usable", usable, each.result.usable, each.result.expected)]
    return problems + [f"it never met {name}" for name in (*_SABOTAGE, "honest-mean") if name not in met]


CHECKS: dict[str, Callable[[Sequence[Seen]], list[str]]] = {
    "names_the_layer": _names_the_layer,
    "logs_bounded": _logs_bounded,
    "exit_code_137": _exit_code_137,
    "exit_code_7": _exit_code_7,
    "pixels_kept": _pixels_kept,
    "all_right": _all_right,
    "all_wrong": _all_wrong,
    "says_resized": _says_resized,
    "cut_to_epsilon": _cut_to_epsilon,
    "same_facts": _same_facts,
    "only_saboteurs_cost": _only_saboteurs_cost,
}


#: So many standard deviations from what chance gives: it goes farther once in 150,000 times.
_BEYOND_CHANCE = 4.5
#: Of a detector that looks at pixels, on the attack that changes most.
_TELLS = 0.9
#: The attack whose mark a detector of its team knows.
_MARKS = "attack-that-marks"


def _areas(name: str, results: Results) -> dict[str, tuple[float, int]]:
    """Of a detector, by attack: the area under the ROC curve, and over how many images."""
    scored = results.detections
    if scored is None or name not in scored.detectors:
        return {}
    counts, attacked, clean = sides(scored, scored.detectors.index(name), results.batch)
    return {attack: (separation(attacked[at][which], clean[at][which])[0], int(which.sum()))
            for at, (attack, which) in enumerate(zip(scored.attacks, counts, strict=True)) if which.any()}


def _of_chance(areas: Mapping[str, tuple[float, int]]) -> list[str]:
    if not areas:
        return ["no score of it was judged"]
    # A score that says nothing but which half an image is in moves an area most, by sqrt(n) / 2 of n images (one deviation).
    mean = float(np.mean([area for area, _ in areas.values()]))
    spread = math.sqrt(sum(0.25 / n for _, n in areas.values())) / len(areas)
    return [f"its area is {mean:.3f}, and chance is .5 +- {spread:.3f}"] if abs(mean - 0.5) > _BEYOND_CHANCE * spread else []


def _chance(name: str, results: Results) -> list[str]:
    return _of_chance(_areas(name, results))


def _tells(name: str, results: Results) -> list[str]:
    best = max((area for area, _ in _areas(name, results).values()), default=0.0)
    return [] if best >= _TELLS else [f"its best area is {best:.3f}: what is judged here shows nothing"]


def _marked_only(name: str, results: Results) -> list[str]:
    """The mark separates marked from clean images on its own attack, and nothing elsewhere."""
    areas = _areas(name, results)
    marked, _ = areas.pop(_MARKS, (0.0, 0))
    return ([] if marked == 1 else [f"its area on {_MARKS} is {marked:.3f}"]) + _of_chance(areas)


def _shown(share: float) -> Callable[[str, Results], list[str]]:
    """Of an attack: how many of its images detectors are shown."""
    def check(name: str, results: Results) -> list[str]:
        scored = results.detections
        found = 0 if scored is None else int(scored.shown[scored.attacks.index(name)].sum())
        return [] if found == share * results.images else [f"detectors were shown {found} of {results.images} of its images"]

    return check


AREAS: dict[str, Callable[[str, Results], list[str]]] = {
    "chance": _chance, "tells": _tells, "marked_only": _marked_only, "half_shown": _shown(0.5), "all_shown": _shown(1)}
