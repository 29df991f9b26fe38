"""One submission from its rows: what was registered, what its runs took, which failed and why, what they printed."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.config import Rules
from harness.dataset.files import read_description
from harness.errors import DatasetError
from harness.formats.result_csv import out_of_range
from harness.sandbox.outcomes import Outcome
from harness.scoring import Entry, Results
from harness.scoring.leaderboard import Row, build_leaderboard, build_matrix, duel_matrices
from harness.store import runs
from harness.store.facade import Transaction
from harness.store.values import DONE, StoredSubmission
from harness.tournament import audit
from harness.tournament.hardware import Slots, machine_words
from harness.tournament.tournament import DEFAULT_ROUND, Tournament
from harness.tracks import Access, Threat, detects, labels, produces
from harness.views.curves import curves
from harness.views.leaderboard import access_words
from harness.views.logs import LoggedRun
from harness.views.round_reader import RoundReader
from harness.views.submission import FailedRun, HardwareTimes, SubmissionView, Timings, curve_of, detected, met
from harness.views.words import plural

#: The commands' default.
DEFAULT_CONFIG = Path("tournament.yaml")
#: What happened to images beyond their bound.
_CUT = {Threat.LINF: "epsilon (up to {}); they were clipped to it",
        Threat.L2: "their L2 bound (up to {}); they were scaled back to it",
        Threat.PATCH: "their square (up to {} pixels); they were refused", Threat.UNRESTRICTED: "{}"}
#: Refused outputs of one run that are shown with their reasons.
SHOWN_REFUSED = 5


class SubmissionReader(RoundReader):
    """Makes a ``SubmissionView``, and finds logs.

    Args:
        tournament: Open.
        transaction: Of its store.
        round_name: The newest round by default.
        config_path: The tournament file, for the commands that it tells to copy.

    Raises:
        UnknownNameError: There is no such round.
    """

    #: Failed runs that are looked up; None for all.
    most_failures: int | None = None

    def __init__(self, tournament: Tournament, transaction: Transaction, round_name: str | None = None,
                 config_path: Path = DEFAULT_CONFIG) -> None:
        super().__init__(tournament, transaction, round_name)
        self._config_path = config_path

    def standing(self, name: str, results: Results) -> SubmissionView:
        """One submission with its row of the leaderboard, and how it did against each opponent.

        Raises:
            UnknownNameError: There is none of that name.
        """
        entry = next((entry for entry in results.entries if entry.name == name), None)
        if entry is None:
            return self.submission(name)
        board = build_leaderboard(results, tracks=(entry.type,))
        row = next(row for row in board.tracks[entry.type] if row.name == name)
        own = replace(board, tracks={entry.type: (row,)})
        view = replace(self.submission(name, entry, row), by_bound=tuple(curves(results, self.bounds(), own)))
        if detects(entry.type):
            found, scores = detected(results, name)
            return replace(view, detected=found, histogram=scores)
        against, unlabelled = met(build_matrix(results), duel_matrices(results), entry)
        return replace(view, opponents=against, unlabelled=unlabelled, curve=curve_of(results, name))

    def submission(self, name: str, entry: Entry | None = None, row: Row | None = None) -> SubmissionView:
        """One submission, with every run that was anything but ``ok``.

        Args:
            name: Its name.
            entry: As the results have it; made from its row where it takes no part in the round.
            row: Its row of the leaderboard.

        Raises:
            UnknownNameError: There is none of that name.
        """
        member = self.member(name)
        known = entry or Entry(member.name, member.team, member.type, member.baseline, member.id, member.digest)
        done = sum(count.runs for count in runs.counts(self.transaction, self.relevant([member])) if count.state == DONE)
        total = self.totals(self.attack_states()).get(member.id, 0)
        return SubmissionView(known, _details(member), done, total, self._timings(member),
                              self._failures(member), row, self._notes(member))

    def _timings(self, member: StoredSubmission) -> Timings:
        rows = runs.measured(self.transaction, self.relevant([member]))
        numbers = [(row.wall_s, row.start_s, row.cpu_s, row.peak_memory_bytes) for row in rows]
        columns = [[float(value) for value in column if value is not None] for column in zip(*numbers, strict=True)] or [[]] * 4
        wall, start, cpu, memory = columns
        limit_s = Rules.stored(self.round.rules).time_limit_s
        slots, machines = self._measured_on(rows)
        return Timings(
            _median(wall), max(wall, default=None), limit_s, _median(start), _median(cpu),
            int(max(memory)) if memory else None, slots, machines)

    def _measured_on(self, rows: Iterable[runs.MeasuredRun]) -> tuple[tuple[str, ...], tuple[HardwareTimes, ...]]:
        """The slots that runs used, as they were when the runs began (a GPU can be exchanged), and times by hardware."""
        known = Slots(self.transaction)
        found = set()
        times: dict[str, list[float]] = {}
        for row in rows:
            slot = known.at(row.slot, row.started_at)
            if slot is not None:
                found.add(slot_words(slot.facts))
                if row.wall_s is not None:
                    times.setdefault(slot.hardware, []).append(row.wall_s)
        apart = sorted(times.items(), key=lambda entry: (-len(entry[1]), entry[0]))
        return tuple(sorted(found)), tuple(
            HardwareTimes(hardware, len(each), float(np.median(each)), max(each)) for hardware, each in apart)

    def _repeat(self, name: str, batch: int, against: str | None) -> str:
        """The command that runs one run of a submission again, and no other."""
        words = ["harness", "run", "--fresh", name, "--only", name, "--batch", str(batch)]
        if against and not self._mixed:
            words += ["--against", against]
        if self.round.name != DEFAULT_ROUND:
            words += ["--round", self.round.name]
        if self._config_path != DEFAULT_CONFIG:
            words += ["--config", str(self._config_path)]
        return shlex.join(words)

    def _failures(self, member: StoredSubmission) -> tuple[FailedRun, ...]:
        failures = []
        for run, batch, against in self.runs(member, failed_only=True)[:self.most_failures]:
            attempt = runs.attempt(self.transaction, run)
            failures.append(FailedRun(
                batch, str(run.outcome), against, run.attempt, attempt.exit_code if attempt else None, run.wall_s,
                "\n".join(_reasons(attempt.evidence if attempt else {})), self._repeat(member.name, batch, against)))
        return tuple(failures)

    def _notes(self, member: StoredSubmission) -> tuple[str, ...]:
        """Remarks on good runs (pixels beyond epsilon that were clipped), and an audit's findings."""
        attempts = runs.attempts(self.transaction, self.own([member]))
        cut = [attempt.evidence.get(member.threat) for attempt in attempts]
        worst = max((value for value in cut if value is not None), default=None)
        notes = []
        if repeated := sum(attempt.outcome == Outcome.TIME_LIMIT and attempt.number < attempt.last
                           and bool(attempt.evidence.get("host_overloaded")) for attempt in attempts):
            notes.append(f"{plural(repeated, 'run')} hit the time limit while the host was overloaded and "
                         f"{'was' if repeated == 1 else 'were'} rerun alone; the rerun counts.")
        if worst is not None:
            beyond = sum(value is not None for value in cut)
            notes.append(f"In {beyond} of its runs images went beyond {_CUT[Threat(member.threat)].format(worst)}.")
        if wrong := self._beyond_the_range(member):
            notes.append(wrong)
        found = audit.findings(self.transaction, self.round).get(member.name)
        return (*notes, audit_note(found)) if found else tuple(notes)

    def _beyond_the_range(self, member: StoredSubmission) -> str | None:
        """Judged by the label range of today: labels are kept as they were answered."""
        if not labels(member.type):
            return None
        try:
            described = read_description(self.tournament.config.dataset)
        except DatasetError:
            return None  # a submission is shown without its data set too
        low, high = described.label_low, described.label_high
        rejections = Rules.stored(self.round.rules).rejection is not None
        counts = [out_of_range(given, (low, high), rejections=rejections)
                  for given in runs.labels(self.transaction, self.relevant([member]))]
        if not any(counts):
            return None
        return f"{plural(sum(counts), 'label')} in {plural(sum(map(bool, counts)), 'run')} outside of {low}..{high} count as wrong."

    def logs(self, name: str, batch: int | None = None, against: str | None = None) -> list[LoggedRun]:
        """What runs printed: the asked ones, else the ones that failed, else the last one.

        Raises:
            UnknownNameError: There is no submission of that name.
        """
        member = self.member(name)
        found = self.runs(member, failed_only=batch is None and against is None)
        if not found and batch is None and against is None:
            found = self.runs(member, failed_only=False)[-1:]
        wanted = [(run, at, opponent) for run, at, opponent in found
                  if batch in {None, at} and (against is None or against in (opponent or "").split(", "))]
        if not wanted:
            return []
        store = self.tournament.store.logs()
        try:
            return [LoggedRun(at, opponent, str(run.outcome or "running"), attempt, out, err)
                    for run, at, opponent in wanted for attempt, out, err in store.load(run.id) or [(run.attempt, "", "")]]
        finally:
            store.close()


def _reasons(facts: Mapping[str, Any]) -> list[str]:
    """Evidence as sentences."""
    reasons = [str(facts["detail"])] if facts.get("detail") else []
    refused = facts.get("refused") or {}
    reasons += [f"{image}: {why}" for image, why in list(refused.items())[:SHOWN_REFUSED]]
    if len(refused) > SHOWN_REFUSED:
        reasons.append(f"and {len(refused) - SHOWN_REFUSED} more refused outputs")
    reasons += [str(note) for note in facts.get("notes") or []]
    if facts.get("expected") and facts.get("usable", 0) < facts["expected"]:
        reasons.append(f"{facts.get('usable', 0)} of {facts['expected']} outputs were accepted")
    return reasons


def _details(member: StoredSubmission) -> dict[str, str]:
    meaning = {"legacy": "legacy (root in its own throw-away container)", "strict": "strict (unprivileged, read-only)"}
    facts = {
        "kind": member.kind, "image": member.container, "image (GPU)": member.container_gpu, "entry point": member.entry_point,
        "profile": meaning.get(member.profile, member.profile), "protocol": "serve" if member.serves else "one run per batch",
        "threat": member.threat if produces(member.type) else "",
        "access": access_words(member.access) if produces(member.type) and member.access != Access.BLACK_BOX else "",
        "source": member.source, "version": f"{member.version} ({member.state})", "submitted": _when(member.submitted_at),
    }
    return {name: value for name, value in facts.items() if value}


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def slot_words(facts: Mapping[str, Any]) -> str:
    """A slot in words: its GPU, if it has one, and the machine."""
    gpu = facts.get("gpu")
    if not gpu:
        return machine_words(facts)
    return f"{gpu['name']} (driver {gpu['driver']}, {gpu['memory_total_mib']} MiB, {gpu['clock_mhz']} MHz), {machine_words(facts)}"


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None


def audit_note(found: audit.Finding) -> str:
    """What an audit found, in a sentence."""
    parts = [f"{found.same} gave the same result"]
    if found.randomised:
        parts.append(f"{found.randomised} differed no more than fresh runs do from each other (a randomised program)")
    if found.differs:
        parts.append(f"{found.differs} {'was' if found.differs == 1 else 'were'} the odd one of ten, "
                     + ("more often than chance explains: its answers depend on earlier batches" if found.marked
                        else "no more often than chance explains"))
    if found.uncompared:
        parts.append(f"{found.uncompared} could not be compared, because a limit ended one of the runs")
    if found.undecided:
        parts.append(f"{found.undecided} differed and wait for further fresh runs")
    return f"Audit: of {plural(found.audited, 'served run')} run again in fresh containers, {'; '.join(parts)}."
