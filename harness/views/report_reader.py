"""A round's report from its rows, verdicts and images."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness import __version__
from harness.dataset.load import Batch, Dataset
from harness.errors import DatasetError
from harness.formats.threats import in_words
from harness.scoring import Results, View
from harness.scoring.leaderboard import (
    Leaderboard,
    Matrix,
    Row,
    build_detector_matrix,
    build_leaderboard,
    build_matrix,
    duel_matrices,
)
from harness.scoring.parts import fooled_by, on_batches
from harness.store import round_state, rounds, runs
from harness.store.artifacts import CorruptArtifactError
from harness.store.values import StoredSubmission
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.results import batches_of, load_results, rules_of
from harness.tournament.tournament import Tournament
from harness.tracks import DEFENSE, TRACKS, Access, Threat, consumes, detects, producers
from harness.views.curves import curves, spread
from harness.views.leaderboard import access_words
from harness.views.logs import LoggedRun
from harness.views.matrix import detector_view, matrix_view
from harness.views.report import (
    Attacked,
    BestOfRound,
    CleanImage,
    EntryView,
    Gallery,
    GalleryRow,
    HeatMap,
    Pixels,
    QueryCurve,
    ReportView,
)
from harness.views.submission import SubmissionView, curve_of, detected, met
from harness.views.submission_reader import DEFAULT_CONFIG, SubmissionReader, slot_words
from harness.views.words import duration

#: Images of the gallery.
SHOWN_IMAGES = 4
#: Bytes of adversarial pixels that the gallery may decode: a few seconds' worth. A contest of 299 x 299 shows its best attacks.
_MOST_DECODED = 1 << 30
#: Up to so many runs every entry has all of its pairs, times and notes; above, reading them takes minutes and megabytes.
_MOST_IN_FULL = 50_000
#: Of a contest above that, entries whose failures are looked up.
_MOST_WITH_FAILURES = 40
#: Runs whose log is shown, attempts of each, and how much of its end.
_LOGS, _LOG_CHARACTERS = 2, 1500
_HARDEST = 10


class ReportReader(SubmissionReader):
    """Makes a ``ReportView``; see ``SubmissionReader`` for its arguments."""

    most_failures = 8

    def report(self, dataset: Dataset, results: Results) -> ReportView:
        """The whole page.

        Args:
            dataset: The round's.
            results: ``load_results`` of this round.
        """
        whole = results.runs.total <= _MOST_IN_FULL
        threats = {m.name: m.threat for m in producers(self.members)}
        view = scored(results, self._epsilons(), threats if len(set(threats.values())) > 1 else {}, self.bounds())
        return replace(
            view, facts=tuple(self._facts(dataset, results)), rounds=tuple(self._best_of_rounds(dataset, view.board)),
            gallery=self._gallery(dataset, results, view.board),
            entries=tuple(self._entries(results, view.board, whole=whole)), whole=whole)

    def _epsilons(self) -> list[int]:
        """The bound of each batch, the same for all where there are others than L-infinity: then it is no epsilon."""
        only = tuple(rules_of(self.round).bounds) == (Threat.LINF,)
        return [batch.epsilon if only else 0 for batch in self.batches]

    def _facts(self, dataset: Dataset, results: Results) -> Iterator[tuple[str, str]]:
        rules = rules_of(self.round)
        # A round has conditions for either isolation; what is shown are the results of the one that the file asks for.
        conditions = rounds.conditions(self.transaction, self.round.conditions_id) | {
            "isolation": self.tournament.config.sandbox.isolation}
        times, _ = runs.newest_times(self.transaction, self._keys(self.members), 20_000)
        width, height = dataset.size
        yield "Data set", (f"{dataset.name}: {results.images:,} images of {width} x {height}, "
                           f"{dataset.label_range[1] - dataset.label_range[0] + 1:,} classes")
        yield "Bounds", "; ".join(", ".join(in_words(threat, bound) for bound in dict.fromkeys(bounds))
                                  for threat, bounds in rules.bounds.items()) + ", by batch; pixels are 0 to 255"
        yield "Rules", (f"batches of {rules.batch_size}, {rules.time_limit_s:g} s a run"
                        + (", mixed batches" if rules.mixed_batches else "")
                        + (f", {100 * rules.audit:g} % of served runs audited" if rules.audit else ""))
        yield "Sandbox", ", ".join(f"{name} {conditions[name]}" for name in ("sandbox", "isolation", "runtime", "cpus")
                                   if conditions.get(name) is not None).removeprefix("sandbox ")
        if len(times):
            first, last = times[:, 0].min(), times[:, 0].max()
            yield "Runs", f"{_when(first)} to {_when(last)} ({duration(last - first)})"
        if machines := sorted({slot_words(facts) for _, _, facts in runs.slots(self.transaction)}):
            yield "Hardware", "; ".join(machines)
        yield "Versions", f"harness {__version__}, contract {conditions.get('contract', '?')}"
        yield "Digest", f"data set {dataset.digest[:16]}"
        if len(names := rounds.names(self.transaction)) > 1:
            yield "Rounds", ", ".join(names)

    def _best_of_rounds(self, dataset: Dataset, board: Leaderboard) -> Iterator[BestOfRound]:
        names = rounds.names(self.transaction)
        if len(names) < 2:  # noqa: PLR2004 - nothing to compare with
            return
        for name in reversed(names):
            try:
                found = board if name == self.round.name else load_leaderboards(
                    self.tournament, lambda: dataset, (View.STANDARD,), name)[View.STANDARD]
            except DatasetError:
                continue  # scores on other images do not compare
            for track, rows in found.tracks.items():
                alike = [row for row in rows if row.access in {None, Access.BLACK_BOX} and row.score is not None]
                own, baseline = (next((row for row in alike if row.baseline is kind), None)
                                 for kind in (False, True))
                if own or baseline:
                    yield BestOfRound(round=name, track=track, own=own, baseline=baseline)

    @cached_property
    def _opponents(self) -> dict[int, str]:
        return super().against()

    def against(self) -> dict[int, str]:
        """The attacks whose output each input is, asked once for all entries."""
        return self._opponents

    def _entries(self, results: Results, board: Leaderboard, *, whole: bool) -> Iterator[EntryView]:
        matrix, duels = build_matrix(results), duel_matrices(results)
        entries = {entry.name: entry for entry in results.entries}
        looked_up = 0
        for row in (row for rows in board.tracks.values() for row in rows if row.name in entries):
            entry = entries[row.name]
            failed = row.failures > 0
            if whole or (failed and looked_up < _MOST_WITH_FAILURES):
                looked_up += 1
                view = self.submission(row.name, entry, row)
            else:
                view = SubmissionView(entry, done=sum(entry.outcomes.values()), total=sum(entry.outcomes.values()), row=row)
            if detects(entry.type):
                against, histogram = detected(results, entry.name)
                view = replace(view, detected=against, histogram=histogram)
            opponents, unlabelled = ((), 0) if detects(entry.type) else met(matrix, duels, entry)
            # An entry's path on the organiser's disk does not belong in a file that is sent to others.
            details = {name: value for name, value in view.details.items() if name != "source"}
            view = replace(view, details=details, opponents=opponents if whole else opponents[:_HARDEST], unlabelled=unlabelled,
                           curve=curve_of(results, row.name))
            yield EntryView(submission=view, logs=tuple(self._tails(self.member(row.name))) if failed and view.failures else ())

    def _tails(self, member: StoredSubmission) -> Iterator[LoggedRun]:
        """The ends of what the first failed runs printed."""
        store = self.tournament.store.logs()
        try:
            for run, batch, against in self.runs(member, failed_only=True)[:_LOGS]:
                for attempt, out, err in store.load(run.id)[-1:]:
                    yield LoggedRun(batch, against, str(run.outcome), attempt, out[-_LOG_CHARACTERS:], err[-_LOG_CHARACTERS:])
        finally:
            store.close()

    def _gallery(self, dataset: Dataset, results: Results, board: Leaderboard) -> Gallery | None:
        """The same few images, of different epsilons where there are any, under every attack."""
        batches, threats = batches_of(self.round, dataset), rules_of(self.round).bounds
        ids = {image: place for place, image in enumerate(results.image_ids)}
        chosen = _spread(self._epsilons())
        # What an attack of duels made differs from opponent to opponent.
        ranked = [row for rows in board.tracks.values() for row in rows if row.access == Access.BLACK_BOX]
        volume = len(chosen) * max(batch.size for batch in self.batches) * dataset.size[0] * dataset.size[1] * 3
        if volume * len(ranked) > _MOST_DECODED:
            chosen, volume = chosen[:1], volume // len(chosen)
        ranked = _best_of_each(ranked, board, max(1, _MOST_DECODED // volume))
        each = SHOWN_IMAGES // len(chosen)
        images = [(number, at) for number in chosen for at in range(min(each, len(batches[number].ids)))]
        places = [ids[batches[number].ids[at]] for number, at in images]
        clean = [dataset.pixels(batches[number])[at] for number, at in images]
        defenses = [row.name for track, rows in board.tracks.items()
                    if consumes(track) and not detects(track) for row in rows]
        rows = []
        for row in ranked:
            made = self._made(row.name, dataset, batches, chosen)
            attack = next(place for place, entry in enumerate(results.attacks) if entry.name == row.name)
            shown = [_attacked(results, attack, place, made[number][0][at], defenses)
                     if number in made and made[number][1][at] else None
                     for (number, at), place in zip(images, places, strict=True)]
            if any(shown):
                rows.append(GalleryRow(name=row.name, track=results.attacks[attack].type, baseline=row.baseline,
                                       images=tuple(shown)))
        if not rows:
            return None
        return Gallery(
            clean=tuple(CleanImage(id=results.image_ids[place], label=_label(dataset, results.truth[place]),
                                   target=_label(dataset, results.target[place]), pixels=pixels,
                                   bound="; ".join(in_words(each, batches[number].under(each).bound) for each in threats))
                        for (number, _), place, pixels in zip(images, places, clean, strict=True)),
            rows=tuple(rows), left_out=len(results.attacks) - len(rows))

    def _made(self, name: str, dataset: Dataset, batches: Sequence[Batch],
              numbers: Sequence[int]) -> Mapping[int, tuple[Pixels, NDArray[np.bool_]]]:
        """What an attack made of some batches, and which images it produced; without the ones that cannot be read."""
        wanted = {self.batches[number].id: number for number in numbers}
        found = {}
        for batch_id, made in runs.made(self.transaction, self.given([self.member(name)]), [self.batches[n] for n in numbers]):
            digest = round_state.digest_of(self.transaction, made) if made else None
            number = wanted[batch_id]
            if digest is None:
                continue
            try:
                found[number] = self.tournament.artifacts.load(digest, dataset.pixels(batches[number]))
            except CorruptArtifactError:
                continue  # `harness run` makes it again
        return found


def read_report(tournament: Tournament, round_name: str | None = None, config_path: Path = DEFAULT_CONFIG) -> ReportView:
    """A round's report.

    Args:
        tournament: Open.
        round_name: The newest round by default.
        config_path: The tournament file, for the commands that it tells to copy.

    Raises:
        UnknownNameError: There is no such round.
        DatasetError: The round was made with another data set.
    """
    with tournament.read() as transaction:
        reader = ReportReader(tournament, transaction, round_name, config_path)
        dataset = tournament.dataset()
        return reader.report(dataset, load_results(tournament, dataset, reader.round.name))


def scored(results: Results, epsilons: Sequence[int], threats: Mapping[str, str] | None = None,
           bounds: Mapping[Threat, Sequence[int]] | None = None) -> ReportView:
    """What follows from the verdicts alone: tables, heat maps, curves.

    Args:
        results: Of the round.
        epsilons: Of each batch.
        threats: What each attack may change, where that differs between them.
        bounds: Of each threat, of each batch, where there are others than L-infinity.
    """
    board, parts = build_leaderboard(results), dict(_parts(results, epsilons))
    duellists = tuple(entry for duels in results.duels for entry in duels.attacks)
    sides = ((*results.attacks, *duellists), results.defenses, results.detectors)
    places = {entry.name: place for side in sides for place, entry in enumerate(side)}
    return ReportView(
        board=board, written=time.strftime("%Y-%m-%d %H:%M:%S %z"), maps=tuple(_maps(results, parts, threats or {})),
        curves=tuple(curves(results, {Threat.LINF: epsilons} if bounds is None else bounds, board)),
        queries=tuple(QueryCurve(name=row.name, track=track, baseline=row.baseline, points=points)
                      for track, rows in board.tracks.items() for row in rows if (points := curve_of(results, row.name))),
        places=places)


def _parts(results: Results, epsilons: Sequence[int]) -> Iterator[tuple[int, Results]]:
    """The results at each of several epsilons; none where all batches have one."""
    if len(set(epsilons)) > 1:
        for epsilon in spread(epsilons):
            yield epsilon, on_batches(results, np.array(epsilons) == epsilon)


def _maps(results: Results, parts: Mapping[int, Results], threats: Mapping[str, str]) -> Iterator[HeatMap]:
    """Labelled correctly, hits of target classes, areas of detectors: of all, of each epsilon, of each threat."""
    shown = (DEFENSE.name, *(name for name, kind in TRACKS.items() if kind.takes_targets))
    for words, part in (("", results), *((f"epsilon {epsilon}", part) for epsilon, part in parts.items())):
        for track in shown:
            view = matrix_view(build_matrix(part, track), track)
            if view.lines:
                yield HeatMap(track=track, part=words, view=view)
        for track in (name for name in TRACKS if detects(name) and part.detectors):
            yield HeatMap(track=track, part=words, view=detector_view(build_detector_matrix(part), track))
    for matrix in duel_matrices(results):
        view = matrix_view(matrix)
        if view.lines:
            yield HeatMap(track=DEFENSE.name, part=f"duels, {access_words(matrix.access)}", view=view)
    for threat in dict.fromkeys(threats.values()):
        for track in shown:
            view = matrix_view(_of_threat(build_matrix(results, track), threats, threat), track)
            if view.lines:
                yield HeatMap(track=track, part=f"threat {threat}", view=view)


def _of_threat(matrix: Matrix, threats: Mapping[str, str], threat: str) -> Matrix:
    """The rows of the attacks that may change this."""
    rows = [at for at, entry in enumerate(matrix.attacks) if threats.get(entry.name) == threat]
    return replace(matrix, attacks=tuple(matrix.attacks[row] for row in rows), cells=matrix.cells.map(lambda array: array[rows]),
                   produced=matrix.produced[rows], ended=matrix.ended[rows])


def _spread(epsilons: Sequence[int]) -> list[int]:
    """The first batch of each of up to four epsilons, from the smallest to the largest."""
    different = sorted(set(epsilons))
    step = -(-len(different) // SHOWN_IMAGES)
    return [epsilons.index(epsilon) for epsilon in different[::step]][:SHOWN_IMAGES]


def _best_of_each(ranked: Sequence[Row], board: Leaderboard, most: int) -> list[Row]:
    """As many as can be shown, the best of each track in turn; in the order of the tables."""
    by_track = [[row for row in rows if row.access == Access.BLACK_BOX] for rows in board.tracks.values()]
    in_turn = [row for rank in range(max(map(len, by_track), default=0)) for rows in by_track for row in rows[rank:rank + 1]]
    kept = {row.name for row in in_turn[:most]}
    return [row for row in ranked if row.name in kept]


def _attacked(results: Results, attack: int, image: int, pixels: Pixels, ranked: Sequence[str]) -> Attacked:
    asked, wrong, hit = fooled_by(results, attack, image)
    names = {entry.name for entry, fooled in zip(results.defenses, wrong, strict=True) if fooled}
    fooled = tuple(name for name in ranked if name in names)
    return Attacked(pixels=pixels, asked=int(asked.sum()), fooled=fooled, hit=int(hit.sum()))


def _label(dataset: Dataset, label: int) -> str:
    place = int(label) - dataset.label_range[0]
    return dataset.classes[place] if 0 <= place < len(dataset.classes) else str(label)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))

