"""``harness export``: the 2017 files, and everything as CSV and Parquet.

The server of 2017 wrote three matrices (rows defenses, columns attacks, the non-targeted ones first), the participants'
toolkit three others (rows attacks, columns defenses) and three rankings of raw scores. All are written in those shapes, so that
programs made for them keep working; the rankings hold the raw scores of the ``toolkit`` view.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.report.files.atomic import Columns, csv_file, parquet_here, write_csv, write_parquet
from harness.report.files.sheets import COUNTS, OF_ACCESS, OF_THREATS, leaderboard_sheet, matrix_sheet, times_apart
from harness.scoring import CORRECT, LABELLED, TARGET, Results, View
from harness.scoring.detectors import sides
from harness.scoring.duel_scores import earned, played
from harness.scoring.leaderboard import (
    Leaderboard,
    Matrix,
    build_detector_matrix,
    build_leaderboard,
    build_leaderboards,
    build_matrix,
    duel_matrices,
    number,
)
from harness.tracks import TRACKS, Access
from harness.untrusted_text import csv_cell
from harness.views.words import counts

#: Above this, verdicts are written as Parquet only: as text they would be gigabytes.
MOST_VERDICTS_AS_CSV = 20_000_000


#: What each column of a Parquet file holds, whatever rows there are; tracks' own figures are float.
_TYPES: dict[str, type] = {
    **dict.fromkeys(("name", "team", "type", "digest", "outcomes", "image", "scoring", "track", "worst_opponent", "mark",
                     "threat", "access", "attack", "defense", "detector", "side", "by_hardware"), str),
    **dict.fromkeys(("order", "true_label", "target_class", "batch", "rank", "rank_low", "rank_high", "raw", "produced",
                     "labelled", "correct", "wrong", "target_hit", "rejected", "changed"), int),
    **dict.fromkeys(("median_time_s", "score", "score_low", "score_high", "worst", "coverage", "share", *OF_THREATS,
                     *OF_ACCESS), float),
    "baseline": bool,
}
_DUEL_TYPES: dict[str, type] = {
    **dict.fromkeys(("access", "attack", "defense", "image"), str),
    **dict.fromkeys(("produced", "counted", "earned", "labelled", "correct", "target_hit", "rejected"), bool),
    **dict.fromkeys(("queries", "first_query", "distance"), int),
}
_CLEAN_TYPES: dict[str, type] = {"defense": str, "image": str, "labelled": bool, "correct": bool, "rejected": bool}
_VERDICT_TYPES: dict[str, type] = {"attack": str, "defense": str, "image": str, "labelled": bool, "correct": bool,
                                   "target_hit": bool, "rejected": bool}


def export_2017(results: Results, directory: Path) -> list[Path]:
    """Write the files of 2017's server and toolkit; returns their paths."""
    matrix = build_matrix(results)
    kinds = np.array([TRACKS[entry.type].takes_targets for entry in matrix.attacks], np.bool_)
    plain, targeted = np.flatnonzero(~kinds), np.flatnonzero(kinds)
    both = np.concatenate([plain, targeted])
    cells = matrix.cells
    server = {"accuracy_matrix.csv": cells.correct, "error_matrix.csv": cells.wrong,
              "hit_target_class_matrix.csv": cells.target_hit}
    toolkit = {"accuracy_on_attacks.csv": (cells.correct, plain), "accuracy_on_targeted_attacks.csv": (cells.correct, targeted),
               "hit_target_class.csv": (cells.target_hit, targeted)}
    attacks, defenses = [entry.name for entry in matrix.attacks], [entry.name for entry in matrix.defenses]
    for name, array in server.items():
        _write_matrix(directory / name, array[both].T, defenses, [attacks[at] for at in both])
    for name, (array, rows) in toolkit.items():
        _write_matrix(directory / name, array[rows], [attacks[at] for at in rows], defenses)
    board = build_leaderboard(results, View.TOOLKIT, resamples=0)
    rankings = {track.name: track.ranking for track in TRACKS.values() if track.ranking is not None}
    for track, (name, title) in rankings.items():
        # 2017 had no duels, whose attacks are in none of its matrices either.
        ranked = sorted(((row.name, row.raw or 0) for row in board.tracks[track] if row.access in {None, Access.BLACK_BOX}),
                        key=lambda row: -row[1])
        write_csv(directory / name, (title, "Score"), ranked)
    return [directory / name for name in (*server, *toolkit, *(name for name, _ in rankings.values()))]


def _write_matrix(path: Path, array: NDArray[np.int64], rows: Sequence[str], columns: Sequence[str]) -> None:
    write_csv(path, ("", *columns), [(name, *line) for name, line in zip(rows, array.tolist(), strict=True)])


def export_all(results: Results, directory: Path) -> tuple[list[Path], list[str]]:
    """Write entries, images, leaderboards of all views, pairs and verdicts; of detectors, pairs and scores.

    Returns:
        The files, and sentences about what was left out.
    """
    boards = list(build_leaderboards(results, list(View)).values())
    parquet, notes, paths = parquet_here(), [], []
    for name, columns in _tables(results, boards, build_matrix(results)).items():
        paths += _write_table(directory, name, columns, parquet=parquet)
    paths += _write_clean(results, directory, parquet=parquet)
    size = math.prod(results.verdicts.shape)
    if size <= MOST_VERDICTS_AS_CSV:
        paths.append(directory / "verdicts.csv")
        _write_verdicts_csv(paths[-1], results)
    else:
        notes.append(f"verdicts.csv is left out: it would have {size:,} rows.")
    if parquet:
        paths.append(directory / "verdicts.parquet")
        write_parquet(paths[-1], verdicts(results), _VERDICT_TYPES)
    if results.duels:
        paths += _write_duels(results, directory, notes, parquet=parquet)
    if results.detections is not None:
        paths += _write_scores(results, directory, notes, parquet=parquet)
    if not parquet:
        notes.append("No Parquet files: pyarrow is not installed (pip install 'harness[export]').")
    return paths, notes


def _write_table(directory: Path, name: str, columns: Columns, *, parquet: bool) -> list[Path]:
    paths = [directory / f"{name}.csv"]
    write_csv(paths[0], tuple(columns), zip(*columns.values(), strict=True))
    if parquet:
        paths.append(directory / f"{name}.parquet")
        write_parquet(paths[-1], [columns], {title: _TYPES.get(title, float) for title in columns})
    return paths


def _tables(results: Results, boards: Sequence[Leaderboard], matrix: Matrix) -> dict[str, Columns]:
    fields = ("name", "team", "type", "baseline", "order", "digest", "median_time_s", "outcomes", "by_hardware")
    entries = [{**asdict(entry), "outcomes": counts(entry.outcomes), "by_hardware": times_apart(entry.by_hardware)}
               for entry in results.entries]
    rows = [(str(board.scoring), *row) for board in boards for row in leaderboard_sheet(board).rows]
    titles = ("scoring", *leaderboard_sheet(boards[0]).columns)
    pairs = matrix_sheet(matrix)
    return {
        "entries": {field: [entry[field] for entry in entries] for field in fields},
        "images": {"image": _image_names(results), "true_label": results.truth.tolist(),
                   "target_class": results.target.tolist(), "batch": results.batch.tolist()},
        "leaderboard": {title: [counts(row[at]) if title == "outcomes" else row[at] for row in rows]
                        for at, title in enumerate(titles)},
        "pairs": {title: [row[at] for row in pairs.rows] for at, title in enumerate(pairs.columns)},
    }


def _write_clean(results: Results, directory: Path, *, parquet: bool) -> list[Path]:
    """Results of defenses on the clean images: robust accuracy needs them, and verdicts are on adversarial images."""
    paths = [directory / "clean.csv"]
    rows = ([int(value) if isinstance(value, bool) else value for value in row]
            for group in clean_images(results) for row in zip(*(group[title] for title in _CLEAN_TYPES), strict=True))
    write_csv(paths[0], tuple(_CLEAN_TYPES), rows)
    if parquet:
        paths.append(directory / "clean.parquet")
        write_parquet(paths[-1], clean_images(results), _CLEAN_TYPES)
    return paths


def clean_images(results: Results) -> Iterator[dict[str, list[Any]]]:
    """One group of columns per defense: a row per clean image whose run has ended."""
    names = np.array(_image_names(results))
    for defense, codes, done in zip(results.defenses, results.clean_codes, results.clean_done, strict=True):
        which = np.flatnonzero(done[results.batch])
        labelled, correct, target = ((codes[which] & bit).astype(np.bool_) for bit in (LABELLED, CORRECT, TARGET))
        yield {"defense": [defense.name] * len(which), "image": names[which].tolist() if len(which) else [],
               "labelled": labelled.tolist(), "correct": correct.tolist(), "rejected": (target & ~labelled).tolist()}


def _write_duels(results: Results, directory: Path, notes: list[str], *, parquet: bool) -> list[Path]:
    """How every attack of duels did against every defense that is open to it, in all and image by image."""
    pairs = [(str(matrix.access), *row[:3], number(share), *row[3:])
             for matrix in duel_matrices(results)
             for row, share in zip(matrix_sheet(matrix).rows, matrix.shares.ravel().tolist(), strict=True) if row[3] is not None]
    titles = ("access", "attack", "track", "defense", "share", *COUNTS)
    columns = {title: [row[at] for row in pairs] for at, title in enumerate(titles)}
    paths = _write_table(directory, "duel_pairs", columns, parquet=parquet)
    size = sum(int(played(duels, results.batch).sum()) for duels in results.duels)
    if size <= MOST_VERDICTS_AS_CSV:
        paths.append(directory / "duels.csv")
        rows = ([int(value) if isinstance(value, bool) else value for value in row]
                for group in duel_images(results) for row in zip(*(group[title] for title in _DUEL_TYPES), strict=True))
        write_csv(paths[-1], tuple(_DUEL_TYPES), rows)
    else:
        notes.append(f"duels.csv is left out: it would have {size:,} rows.")
    if parquet:
        paths.append(directory / "duels.parquet")
        write_parquet(paths[-1], duel_images(results), _DUEL_TYPES)
    return paths


def duel_images(results: Results) -> Iterator[dict[str, list[Any]]]:
    """One group of columns per attack and defense that meet: a row per image whose duel is done, None for what it has not."""
    names = np.array(_image_names(results))
    for duels in results.duels:
        shown, won = played(duels, results.batch), earned(duels, results.batch)
        for a, d in product(range(len(duels.attacks)), range(len(duels.defenses))):
            which = np.flatnonzero(shown[a, d])
            attack, defense = duels.attacks[a].name, duels.defenses[d]
            codes = duels.codes[a, d, which] * duels.produced[a, d, which]
            bits = [(codes & bit).astype(np.bool_) for bit in (LABELLED, CORRECT, TARGET)]
            asked: list[list[int | None]] = [[None] * len(which)] * 3
            if duels.queries is not None:
                if d == 0:
                    found = duels.queries.first(a), duels.queries.smallest(a, duels.queries.budget)
                asked = [column[which].tolist() for column in (duels.queries.charged[a, d], found[0][d], found[1][d])]
            yield {
                "access": [str(duels.access)] * len(which), "attack": [attack] * len(which), "defense": [defense] * len(which),
                "image": names[which].tolist(), "produced": duels.produced[a, d, which].tolist(),
                "counted": duels.counted[a, d, which].tolist(), "earned": won[a, d, which].tolist(),
                "labelled": bits[0].tolist(), "correct": bits[1].tolist(), "target_hit": (bits[2] & bits[0]).tolist(),
                "rejected": (bits[2] & ~bits[0]).tolist(), "queries": asked[0],
                "first_query": [number or None for number in asked[1]],
                "distance": [None if change == -1 else change for change in asked[2]]}


def _write_scores(results: Results, directory: Path, notes: list[str], *, parquet: bool) -> list[Path]:
    """What detectors answered, and how well it tells attacked images from clean ones."""
    pairs = matrix_sheet(build_detector_matrix(results))
    columns = {title: [row[at] for row in pairs.rows] for at, title in enumerate(pairs.columns)}
    paths = _write_table(directory, pairs.title, columns, parquet=parquet)
    titles = ("detector", "attack", "image", "side", "score")
    scored = results.detections
    size = 0 if scored is None else 2 * len(results.detectors) * int(scored.shown.sum())
    if size <= MOST_VERDICTS_AS_CSV:
        paths.append(directory / "detections.csv")
        rows = (row for group in detections(results) for row in zip(*(group[title] for title in titles), strict=True))
        write_csv(paths[-1], titles, rows)
    else:
        notes.append(f"detections.csv is left out: it would have {size:,} rows.")
    if parquet:
        paths.append(directory / "detections.parquet")
        write_parquet(paths[-1], detections(results), {title: _TYPES[title] for title in titles})
    return paths


def detections(results: Results) -> Iterator[dict[str, list[Any]]]:
    """One group of columns per detector and attack: a row per side and image whose runs have ended, None for no score."""
    names, scored = np.array(_image_names(results)), results.detections
    if scored is None:
        return
    for place, detector in enumerate(results.detectors):
        counts, *answered = sides(scored, place, results.batch)
        for at, attack in enumerate(results.attacks):
            which = counts[at]
            shown = int(which.sum())
            given = [None if math.isinf(value) else value for side in answered for value in side[at][which].tolist()]
            yield {
                "detector": [detector.name] * (2 * shown), "attack": [attack.name] * (2 * shown),
                "image": 2 * names[which].tolist(), "side": ["attacked"] * shown + ["clean"] * shown, "score": given}


def _image_names(results: Results) -> list[str]:
    return list(results.image_ids) or [str(place) for place in range(results.images)]


def verdicts(results: Results) -> Iterator[dict[str, NDArray[np.generic] | list[str]]]:
    """One group of columns per attack: a row per defense and image whose run has ended and whose image was produced."""
    names = np.array(_image_names(results))
    defenses = np.array([entry.name for entry in results.defenses])
    for at, attack in enumerate(results.attacks):
        known = results.run_done[at][:, results.batch] & results.produced[at]
        defense, image = np.nonzero(known)
        code = results.verdicts.codes(at)[defense, image]
        labelled, target = (code & LABELLED).astype(np.bool_), (code & TARGET).astype(np.bool_)
        yield {
            "attack": [attack.name] * len(code), "defense": defenses[defense] if len(defenses) else [],
            "image": names[image] if len(names) else [], "labelled": labelled, "correct": (code & CORRECT).astype(np.bool_),
            "target_hit": target & labelled, "rejected": target & ~labelled,
        }


def _write_verdicts_csv(path: Path, results: Results) -> None:
    with csv_file(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        bits = ("labelled", "correct", "target_hit", "rejected")
        writer.writerow(("attack", "defense", "image", *bits))
        for group in verdicts(results):
            flags = [np.asarray(group[name]).astype(np.uint8) for name in bits]
            names = (map(csv_cell, map(str, group[name])) for name in ("attack", "defense", "image"))
            writer.writerows(zip(*names, *flags, strict=True))
