"""From score records to ``Results``: what scoring is given, read from the store in one pass, verdicts packed from end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules
from harness.dataset.load import Batch, Dataset
from harness.errors import DatasetError
from harness.scheduling.mixing import mix
from harness.scoring import Results, RunCounts, Verdicts
from harness.store import rounds
from harness.store.rounds import unpack_bits
from harness.store.values import StoredRound, StoredSubmission, task_kind
from harness.tournament import audit, detector_results, duel_results
from harness.tournament.hardware import compared
from harness.tournament.round_records import NONE, Ended, RoundRecords, entry_of
from harness.tournament.tournament import Tournament
from harness.tracks import Threat, attackers, detectors, labellers


def load_results(tournament: Tournament, dataset: Dataset, round_name: str | None = None) -> Results:
    """The verdicts of a round.

    Args:
        tournament: An open tournament.
        dataset: The data set of the round, for true labels and target classes.
        round_name: Which round; the newest by default.

    Raises:
        UnknownNameError: There is no such round.
        DatasetError: The round was made with another data set.
    """
    with tournament.store.read() as transaction:
        row = rounds.find(transaction, round_name)
        if row.dataset_digest != dataset.digest:
            raise DatasetError(f"The round {row.name} was made with another data set than {dataset.root}.",
                               "Name the round's data set in the tournament file.")
        members = rounds.members(transaction, row.id)
        return _read(RoundRecords(transaction, row, members, dataset, tournament.config.sandbox.isolation), members)


def _read(records: RoundRecords, members: Sequence[StoredSubmission]) -> Results:
    attacks, defenses, scorers = attackers(members), labellers(members), detectors(members)
    tasks = _given(records)
    played = duel_results.duels_played(records, members)
    batches, images = len(records.batches), len(records.dataset.ids)
    made = np.full((len(attacks), batches), NONE, np.int64)
    attack_done = np.zeros((len(attacks), batches), bool)
    ended = {}
    for entry, member in enumerate(attacks):
        runs = records.of(member.id)
        runs = runs[np.isin(runs["input_id"], tasks[Threat(member.threat)])]
        ended[member.id] = records.ended(runs)
        where = records.batch_of[records.index(runs["input_id"])]
        attack_done[entry, where] = True
        made[entry, where] = np.where(runs["output_id"] > 0, records.index(runs["output_id"]), NONE)
    produced = records.images(np.where((made >= 0)[..., None], records.produced()[made], False))  # noqa: FBT003
    planes = np.zeros((3, len(attacks), len(defenses), records.layout.width), np.uint8)
    run_done = np.zeros((len(attacks), len(defenses), batches), bool)
    clean = records.clean_inputs()
    in_play = _in_play(records, made, attack_done)
    wanted = np.zeros(len(records.ids), bool)
    wanted[in_play] = True
    clean_codes = np.zeros((len(defenses), images), np.uint8)
    clean_done = np.zeros((len(defenses), batches), bool)
    further = []
    # Of a defense its duels too, which are counted apart.
    shown = {}
    for entry, member in enumerate(defenses):
        every = runs = records.of(member.id)
        asked = wanted[records.index(runs["input_id"])]
        runs = runs if asked.all() else runs[asked]
        ended[member.id] = records.ended(runs)
        duelled = duel_results.made_against(records, entry, played)
        further.append(duel_results.answer(records, entry, played, every, wanted, duelled))
        # Its time is that of batches which all defenses have: it orders those of equal scores.
        shown[member.id] = replace(records.ended(every[asked | duelled[records.index(every["input_id"])]]),
                                   median_s=ended[member.id].median_s, times=ended[member.id].times)
        verdicts, done = records.verdicts(runs)
        if records.rules.mixed_batches:
            verdicts, done = _unmixed(records, verdicts, done, in_play)
        # A row more than there are inputs: what was not made has no verdicts.
        planes[:, :, entry] = records.in_rows(verdicts[made])
        run_done[:, entry] = attack_done & ((made < 0) | done[made])
        clean_codes[entry] = Verdicts(records.layout, records.in_rows(verdicts[clean][None])[:, :, None]).codes(0)
        clean_done[entry] = done[clean]
    halves = detector_results.halves_of(records, made) if scorers else None
    for member in scorers:
        runs = records.of(member.id)
        ended[member.id] = records.ended(runs if halves is None else runs[halves.in_play[records.index(runs["input_id"])]])
    audited = audit.findings(records.transaction, records.row)
    marks = {name: audit.MARK for name, finding in audited.items() if finding.marked}
    on = compared([runs.times for runs in (*ended.values(), *(each for duel in played for each in duel.runs))])
    entries = {m.id: entry_of(m, shown.get(m.id, ended[m.id]), marks.get(m.name, ""), on) for m in (*attacks, *defenses, *scorers)}
    return Results(
        attacks=tuple(entries[m.id] for m in attacks), defenses=tuple(entries[m.id] for m in defenses),
        truth=records.dataset.labels, target=records.dataset.targets,
        batch=np.repeat(np.arange(batches), [len(b.ids) for b in records.batches]).astype(np.int32), produced=produced,
        verdicts=Verdicts(records.layout, planes), attack_done=attack_done, run_done=run_done, clean_codes=clean_codes,
        clean_done=clean_done, tournament=records.row.tournament, round=records.row.name, image_ids=records.dataset.ids,
        runs=duel_results.counted(_counts(records, ended, attack_done, len(in_play), defenses, scorers, halves), played, further),
        detectors=tuple(entries[m.id] for m in scorers),
        detections=None if halves is None else detector_results.detections(
            records, attacks, scorers, halves, made, attack_done),
        max_clean_rejections=None if records.rules.rejection is None else records.rules.rejection.max_clean,
        duels=tuple(duel_results.duels_of(records, each, defenses, marks, on) for each in played))


def _given(records: RoundRecords) -> dict[Threat, list[int]]:
    """Ids of the inputs that attacks are given under each threat; a batch may have others, of earlier bounds."""
    known = {(records.position[i.batch_id], i.kind): i.id for i in records.inputs.values()}
    given = ((threat, batch.index, batch.under(threat).bound) for threat in records.rules.bounds for batch in records.batches)
    found: dict[Threat, list[int]] = {threat: [] for threat in Threat}
    for threat, position, bound in given:
        found[threat].append(known[position, task_kind(threat, bound)])
    return found


def _in_play(records: RoundRecords, made: NDArray[np.int64], attack_done: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices of the inputs that this round's defenses are run on; results on others belong to earlier versions."""
    clean = records.clean_inputs()
    if not records.rules.mixed_batches:
        return np.unique(np.append(made[made >= 0], clean))
    in_order = [records.inputs[int(i)] for i in records.ids]
    index_of = {(records.position[i.batch_id], i.digest): n for n, i in enumerate(in_order) if i.kind == "mixed"}
    found = []
    for batch in np.flatnonzero(attack_done.all(axis=0)).tolist():
        made_here = made[made[:, batch] >= 0, batch]
        sources = [records.inputs[int(records.ids[i])] for i in np.unique(np.append(made_here, clean[batch]))]
        masks = [unpack_bits(s.produced, len(records.batches[batch].ids)) for s in sources]
        digests = [(batch, dealt.digest) for dealt in mix([s.digest for s in sources], masks)]
        found += [index_of[digest] for digest in digests if digest in index_of]
    return np.array(sorted(found), np.int64)


def _unmixed(records: RoundRecords, verdicts: NDArray[np.uint8], done: NDArray[np.bool_],
                in_play: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Verdicts on mixed inputs, given back to the inputs that the images came from."""
    bits = np.unpackbits(verdicts, axis=-1, bitorder="little")
    by_source, source_done = np.zeros_like(bits), np.zeros_like(done)
    missing = np.zeros_like(done)
    for index in in_play.tolist():
        parts = np.frombuffer(records.inputs[int(records.ids[index])].parts or b"", np.int32)
        at = np.flatnonzero(parts)
        sources = records.index(parts[at].astype(np.int64))
        by_source[sources, :, at] = bits[index][:, at].T
        source_done[sources] = True
        if not done[index]:
            missing[sources] = True
    return np.packbits(by_source, axis=-1, bitorder="little"), source_done & ~missing


def _counts(records: RoundRecords, ended: dict[int, Ended], attack_done: NDArray[np.bool_], in_play: int,
            defenses: Sequence[StoredSubmission], scorers: Sequence[StoredSubmission],
            halves: detector_results.Halves | None) -> RunCounts:
    """How many runs there are, without those of duels."""
    attacks, batches = attack_done.shape
    unknown = to_come = int(np.count_nonzero(~attack_done))
    if records.rules.mixed_batches:
        unknown = int((~attack_done).any(axis=0).sum()) * (attacks + 1)
    total = attacks * batches + len(defenses) * (in_play + unknown)
    if halves is not None:
        total += len(scorers) * (int(halves.in_play.sum()) + 2 * to_come)
    done = int(attack_done.sum()) + sum(ended[member.id].runs for member in (*defenses, *scorers))
    return RunCounts(done=done, total=total, failed=sum(e.failed for e in ended.values()))


def rules_of(row: StoredRound) -> Rules:
    """The rules a round was made with."""
    return Rules.stored(row.rules)


def batches_of(row: StoredRound, dataset: Dataset) -> tuple[Batch, ...]:
    """The batches of a round."""
    rules = rules_of(row)
    return dataset.batches(rules.batch_size, rules.bounds)
