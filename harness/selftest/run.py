"""All rows in one tournament beside honest entries, and the honest entries in one of their own.

Detectors are judged in a third one, with the attacks that are made for them: in the first each would be run on two halves of what
a hundred hostile attacks left. Duels are played in a fourth: in the first each attack would meet a hundred hostile defenses alone.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules
from harness.dataset.load import load as load_dataset
from harness.ending import asked, check
from harness.engine.base import Engine
from harness.errors import HarnessError
from harness.execution.job import Finished
from harness.sandbox.base import CodeImages, Limits, Sandbox
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.outcomes import Outcome
from harness.scheduling.scheduler import Scheduler
from harness.scoring import Results
from harness.selftest import data, host, leftovers
from harness.selftest.build import Source, honest
from harness.selftest.judge import Seen, Verdict, judge, judge_refusal
from harness.selftest.row import Row
from harness.selftest.secrets import Secrets
from harness.selftest.table import detectors, duels
from harness.selftest.workshop import Workshop
from harness.store.lock import writer_lock
from harness.store.values import StoredSubmission
from harness.submission.load import Submission
from harness.submission.load import load as load_submission
from harness.tournament.choose_sandbox import DockerHost, resolve_bases
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.round_loader import Round
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from harness.tracks import produces

#: Long enough for Python to start on a busy host, short enough for a dozen rows that are killed at it.
TIME_LIMIT_S = 6.0
#: What must come to its own end, or be ended for something else than its time, has this many times as long: it waits for
#: nothing, and on a busy host the start of a container alone took half of the limit.
_PATIENCE = 5


@dataclass(frozen=True)
class Findings:
    """What came of the self-test.

    Attributes:
        verdicts: Of each row that was asked for.
        scores: Differences of the honest entries' verdicts with and without the hostile ones; none where all is well.
        host: Differences of the host before and after.
        notes: Remarks for people.
        alone: Results of the honest entries' own tournament.
    """

    verdicts: tuple[Verdict, ...]
    scores: tuple[str, ...]
    host: tuple[str, ...]
    notes: tuple[str, ...] = ()
    alone: Results | None = None

    @property
    def passed(self) -> bool:
        """Whether everything is as it must be."""
        return not self.scores and not self.host and all(verdict.passed for verdict in self.verdicts)


@dataclass
class _Witness(Watcher):
    """Keeps every result as the scheduler accepts it."""

    told: Callable[[str], None]
    true_labels: Sequence[NDArray[np.int32]] = ()
    seen: defaultdict[str, dict[int, Seen]] = field(default_factory=lambda: defaultdict(dict))

    def prepared(self, scheduler: Scheduler, engine: Engine, round_: Round, removed: list[str]) -> None:
        """Jobs come back without true labels: keep them."""
        del scheduler, engine, removed
        self.true_labels = [batch.labels for batch in round_.lineup.batches]

    def finished(self, finished: Finished) -> None:
        """Keep it; a later attempt replaces an earlier one."""
        job = finished.job
        self.seen[job.name][job.run_id] = Seen(job, finished.result, self.true_labels[job.batch.index])
        self.told(f"{finished.job.name}: {finished.result.outcome.value}")


class _Corpus(Tournament):
    """A tournament in which only ``killed`` (names) meet the time limit of its rules."""

    killed: frozenset[str] = frozenset()

    def limits(self, member: StoredSubmission, rules: Rules) -> Limits:
        """Longer ones for all others."""
        limits = super().limits(member, rules)
        if member.name in self.killed:
            return limits
        return replace(limits, time_limit_s=_PATIENCE * limits.time_limit_s, start_limit_s=_PATIENCE * limits.start_limit_s)


def examine(rows: Sequence[Row], sandbox: Sandbox, *, time_limit_s: float = TIME_LIMIT_S, slots: int | None = None,
            told: Callable[[str], None] = lambda _: None, alone: Results | None = None) -> Findings:
    """Run rows in one tournament and judge what came of them.

    Args:
        rows: Which rows; those that the sandbox does not promise are the caller's to leave out.
        sandbox: Where programs run.
        time_limit_s: Of each run that must be killed at it; all others have several times as long.
        slots: Runs at the same time; by default two for each core, because rows that are killed at a limit mostly wait.
        told: Called with what happens, a line at a time.
        alone: Of an earlier call's findings: that tournament is not run again.

    Raises:
        HarnessError: The self-test itself cannot be run here.
    """
    with ExitStack() as stack:
        scene = stack.enter_context(_Scene(sandbox, time_limit_s, slots or 2 * (os.cpu_count() or 1), told))
        before = host.look(scene.watch)
        if alone is None:
            alone = scene.run("honest", (), frozenset(), Watcher())
        witness = _Witness(told)
        settled, beside = scene.run_rows([row for row in rows if not row.areas and not row.duel], witness)
        detected = scene.run_detectors(rows, witness)
        scene.run_duels(rows, witness)
        unplanted = scene.unplanted()
        left = scene.tidy()
        after = host.look(scene.watch)
        verdicts = tuple(settled.get(row.name) or judge(row, list(witness.seen[row.name].values()), detected) for row in rows)
        changed = (*unplanted, *left, *host.differences(before, after, scene.watch))
        return Findings(verdicts, tuple(differences(alone, beside)), changed, tuple(host.notes(before, after, scene.watch)), alone)


class _Scene:
    """The directory of a self-test, and all that lies in it."""

    def __init__(self, sandbox: Sandbox, time_limit_s: float, slots: int, told: Callable[[str], None]) -> None:
        self._sandbox = sandbox
        self._time_limit_s = time_limit_s
        self._slots = slots
        self._told = told
        self._stack = ExitStack()
        self._digests: list[str] = []

    def __enter__(self) -> Self:
        """Make the directory, the data set, the honest entries and the secrets."""
        self.root = leftovers.directory()
        self._stack.callback(shutil.rmtree, self.root, ignore_errors=True)
        # Programs of other users must not look around in here.
        self.root.chmod(0o711)
        secrets = self._secrets = self._stack.enter_context(Secrets(self.root))
        self._shop = Workshop(self.root / "entries", secrets.planted, getattr(self._sandbox, "api", None))
        data.write(self.root / "data", secrets.value)
        data.write(self.root / "detected-data", secrets.value, data.DETECTED_IMAGES)
        self._honest = [honest(self.root / "honest-entries", name, track, file, secrets.value)
                        for name, (track, file) in data.HONEST.items()]
        tournaments = ("honest", "hostile", "detectors", "duels")
        self.watch = host.Watch(self.root, tuple(f"{name}@{self.root / name}" for name in tournaments),
                                getattr(self._sandbox, "api", None))
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything."""
        self.tidy()
        self._stack.close()

    def run(self, name: str, sources: Sequence[Source], killed: frozenset[str], witness: Watcher, *,
            detectors: bool = False, duels: bool = False) -> Results:
        """A tournament of the honest entries and these, run to its end; ``killed`` must meet the time limit."""
        config = data.config(self.root, name, self._sandbox.name, self._time_limit_s, detectors=detectors, duels=duels)
        dataset = load_dataset(config.dataset)
        with _Corpus(config) as tournament:
            tournament.killed = killed
            for source in (*self._honest, *sources):
                registered = tournament.submit(self._load(source), source=source.where)
                self._digests.append(registered.submission.digest)
            with writer_lock(config.state):
                play_round(tournament, dataset, self._sandbox, Options(slots=self._slots, trust_process_sandbox=True),
                           witness, asked.is_set)
            check()
            return load_results(tournament, dataset)

    def run_detectors(self, rows: Sequence[Row], witness: Watcher) -> Results | None:
        """The tournament of detectors, if any row is of it; attacks that are made for them take part whoever was asked for."""
        asked_for = {row.name for row in rows if row.areas}
        if not asked_for:
            return None
        wanted = [row for row in detectors.ROWS if row.name in asked_for or produces(row.track)]
        # Attacks need a defense in the round.
        wanted += [row for row in detectors.ROWS if row.areas == "tells" and row.name not in asked_for]
        return self.run("detectors", [self._shop.make(row) for row in wanted], frozenset(), witness, detectors=True)

    def run_duels(self, rows: Sequence[Row], witness: Watcher) -> None:
        """The tournament of duels, if any row is of it; saboteurs take part whoever was asked for, for somebody to meet them."""
        asked_for = {row.name for row in rows if row.duel}
        if asked_for:
            wanted = [row for row in duels.ROWS if row.name in asked_for or row.white_box]
            self.run("duels", [self._shop.make(row) for row in wanted], frozenset({"loads-its-target"}), witness, duels=True)

    def run_rows(self, rows: Sequence[Row], witness: Watcher) -> tuple[dict[str, Verdict], Results]:
        """The tournament of all: what was settled at ``submit`` already, and the results."""
        settled: dict[str, Verdict] = {}
        sources = []
        for row in rows:
            source = self._shop.make(row)
            sentence = self._refusal(source, bases=bool(row.sentence))
            if row.sentence:
                settled[row.name] = judge_refusal(row, sentence)
            elif sentence is not None:
                settled[row.name] = Verdict(row, "refused at submit", (sentence,))
            else:
                sources.append(source)
        killed = frozenset(row.name for row in rows if Outcome.TIME_LIMIT in row.outcomes)
        return settled, self.run("hostile", sources, killed, witness)

    def unplanted(self) -> list[str]:
        """Where the mark that hunters look for is missing (they would prove nothing), and who came for it."""
        state = self.root / "hostile"
        code = [path for path in (state / "submissions").glob("*/run") if self._secrets.lies_in(path)]
        places = {"the true labels": self._secrets.lies_in(self.root / "data" / "metadata.csv"),
                  "the database": any(self._secrets.lies_in(path) for path in state.glob("tournament.db*")),
                  "the honest entries' code": len(code) == len(self._honest),
                  "the planted port": self._secrets.answers()}
        found = [f"the mark is not in {place}: the hunts prove nothing" for place, lies in places.items() if not lies]
        if self._sandbox.isolates and self._secrets.visitors:
            found.append(f"the planted port or sockets had visitors: {self._secrets.visitors[:3]}")
        return found

    def _refusal(self, source: Source, *, bases: bool) -> str | None:
        """The message at ``submit``; the images that directories name are looked up only where the row is about that."""
        try:
            submission = self._load(source)
            if bases and self._sandbox.isolates:
                for refused in resolve_bases(submission, ImageRules(data.IMAGES_ALLOWED), DockerHost()):
                    raise refused
        except HarnessError as error:
            return str(error)
        return None

    def _load(self, source: Source) -> Submission:
        return load_submission(source.where, name=source.name, type=source.type, image_info=self._shop.image_info)

    def tidy(self) -> list[str]:
        """Remove what lies outside of the directory: images. What could not be removed."""
        left: list[str] = []
        if isinstance(self._sandbox, CodeImages) and self._digests:
            self._sandbox.remove_code_images(self._digests)
            # A second time there is nothing to remove.
            left = [f"{what} is left" for what in self._sandbox.remove_code_images(self._digests)]
        return left + [f"image {image} is left" for image in self._shop.remove_images()]


def differences(alone: Results, beside: Results) -> list[str]:
    """Where the honest entries' verdicts differ, image by image, between two tournaments."""
    found = []
    for entry in alone.attacks:
        mine, theirs = _at(alone.attacks, entry.name), _at(beside.attacks, entry.name)
        if not np.array_equal(alone.produced[mine], beside.produced[theirs]):
            found.append(f"{entry.name} produced other images")
        codes, others = alone.verdicts.codes(mine), beside.verdicts.codes(theirs)
        for defense in alone.defenses:
            first, second = codes[_at(alone.defenses, defense.name)], others[_at(beside.defenses, defense.name)]
            if not np.array_equal(first, second):
                found.append(f"{defense.name} on {entry.name}: {int(np.count_nonzero(first != second))} verdicts differ")
    for defense in alone.defenses:
        first, second = alone.clean_codes[_at(alone.defenses, defense.name)], beside.clean_codes[_at(beside.defenses, defense.name)]
        if not np.array_equal(first, second):
            found.append(f"{defense.name} on the clean images: {int(np.count_nonzero(first != second))} verdicts differ")
    if not (alone.run_done.all() and beside.run_done.all() and beside.clean_done.all()):
        found.append("a tournament was not finished")
    return found


def _at(entries: Sequence[object], name: str) -> int:
    return next(index for index, entry in enumerate(entries) if getattr(entry, "name", "") == name)
