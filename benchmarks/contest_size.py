"""A 2017-size final on one machine: plan, schedule, record, resume and score 904,600 runs whose programs do nothing.

Every stage is a program of its own, so that its peak memory is its own. `--sizes 1/16,1/4,1` scales the numbers of attacks and
defenses by the square root, so that the runs scale by the fraction; the batches stay 50.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from sqlalchemy import event

from benchmarks.measure import load, machine, peak_memory_mb, stage, table, verdict
from benchmarks.synthetic import FINAL, NullExecutor, Size, make_tournament, read_tournament
from harness.engine.local import LocalEngine
from harness.engine.node import Node
from harness.execution.job import Slot
from harness.scheduling.scheduler import Scheduler
from harness.scoring import View
from harness.store.logs import LogStore
from harness.tournament.leaderboard_cache import load_leaderboards
from harness.tournament.results import load_results
from harness.tournament.tournament import Tournament

TARGETS = {"plan_s": 5.0, "plan_mb": 500.0, "per_run_ms": 1.0, "database_mb": 400.0, "again_s": 10.0, "board_cold_s": 1.0,
           "board_cached_s": 1.0, "report_s": 10.0, "report_mb": 5.0}


def main() -> None:
    """Run the sizes, or one stage of one size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1/16,1/4,1")
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="Directory to work in and leave (a temporary one by default).")
    parser.add_argument("--stage", choices=sorted(STAGES))
    parser.add_argument("--root", type=Path)
    options = parser.parse_args()
    if options.stage:
        began = time.perf_counter()
        found = STAGES[options.stage](options)
        print(json.dumps({"seconds": time.perf_counter() - began, "processor_s": time.process_time(), **found,
                          "peak_mb": peak_memory_mb()}))
        return
    print(f"Contest size. {machine()}. Programs do nothing; everything else is real.\n")
    sizes = [Fraction(text) for text in options.sizes.split(",")]
    columns = []
    for fraction in sizes:
        root = options.keep / str(fraction).replace("/", "_") if options.keep else Path(tempfile.mkdtemp(prefix="contest-"))
        try:
            columns.append(measure(scaled(fraction), root, options.slots))
            plans = stage("contest_size", "plans", root=root)["plans"]
        finally:
            if not options.keep:
                shutil.rmtree(root, ignore_errors=True)
    print(report(sizes, columns))
    print("\nHow SQLite executes the queries on the runs:\n")
    for statement, steps in plans:
        print(f"- `{statement}`\n  {'; '.join(steps)}")


def scaled(fraction: Fraction) -> Size:
    """The final, with the runs scaled by a fraction."""
    side = math.sqrt(fraction)
    return Size(round(FINAL.attacks * side), round(FINAL.defenses * side), FINAL.batches)


def measure(size: Size, root: Path, slots: int) -> dict[str, float]:
    """All figures of one size."""
    if not (root / "tournament.yaml").exists():
        make_tournament(root, size)
        register = stage("contest_size", "register", root=root)
    else:
        register = {"seconds": float("nan")}
    plan = stage("contest_size", "plan", root=root)
    run = stage("contest_size", "run", root=root, slots=slots)
    resume = stage("contest_size", "plan", root=root)
    began = time.perf_counter()
    again = subprocess.run([sys.executable, "-m", "harness.cli.main", "run", "--config", str(root / "tournament.yaml")],
                           check=True, capture_output=True, text=True)
    again_s = time.perf_counter() - began
    if "Nothing new" not in again.stderr:
        raise SystemExit(f"the second run found something to do:\n{again.stderr}")
    # The runs above ended with `harness run`, which keeps the tables.
    stage("contest_size", "forget", root=root)
    cold, cached = stage("contest_size", "score", root=root), stage("contest_size", "score", root=root)
    assert cold["digest"] == cached["digest"]
    page = stage("contest_size", "report", root=root)
    return {
        "runs": size.runs, "register_s": register["seconds"], "plan_s": plan["seconds"],
        "plan_cpu_s": plan["processor_s"], "plan_mb": plan["peak_mb"],
        "run_s": run["seconds"], "per_run_ms": 1e3 * run["work_s"] / max(1, run["runs"]), "run_mb": run["peak_mb"],
        "commits": run["commits"], "database_mb": run["database_mb"], "resume_s": resume["seconds"],
        "resume_mb": resume["peak_mb"], "again_s": again_s, "board_cold_s": cold["seconds"],
        "board_cold_cpu_s": cold["processor_s"], "board_cold_mb": cold["peak_mb"],
        "board_cached_s": cached["seconds"], "report_s": page["seconds"],
        "report_cpu_s": page["processor_s"], "report_mb": page["megabytes"],
        "report_peak_mb": page["peak_mb"], "load": float(load().split()[1])}


NAMES = {
    "runs": "runs", "register_s": "register submissions, s", "plan_s": "plan, s",
    "plan_cpu_s": "plan, s of processor, imports included", "plan_mb": "plan, peak MB",
    "run_s": "run all, s", "per_run_ms": "engine + store per run, ms", "run_mb": "run all, peak MB",
    "commits": "durable commits", "database_mb": "database, MB", "resume_s": "plan again with all results, s",
    "resume_mb": "plan again, peak MB", "again_s": "`harness run` with nothing new, s",
    "board_cold_s": "leaderboard, three views, cold, s",
    "board_cold_cpu_s": "leaderboard cold, s of processor", "board_cold_mb": "leaderboard cold, peak MB",
    "board_cached_s": "the same again (summary kept), s", "report_s": "HTML report, s",
    "report_cpu_s": "HTML report, s of processor", "report_mb": "HTML report, MB", "report_peak_mb": "HTML report, peak MB",
    "load": "load of the machine"}


def report(sizes: list[Fraction], columns: list[dict[str, float]]) -> str:
    """The table; growth is the last column's figure over the first's, beside the growth of the runs."""
    head = ["", *(str(size) for size in sizes), "growth", "target", ""]
    rows = []
    for key, name in NAMES.items():
        values = [column[key] for column in columns]
        growth = f"x {values[-1] / values[0]:.1f}" if len(values) > 1 and values[0] else ""
        target = TARGETS.get(key)
        rows.append([name, *values, growth, "" if target is None else f"<= {target:g}",
                     "" if target is None or sizes[-1] != 1 else verdict(values[-1], target)])
    return table(head, rows)


def _register(options: argparse.Namespace) -> dict[str, Any]:
    with Tournament(read_tournament(options.root)) as tournament:
        return {"submissions": len(tournament.submit_configured())}


def _plan(options: argparse.Namespace) -> dict[str, Any]:
    with Tournament(read_tournament(options.root)) as tournament:
        round_ = tournament.open_round(tournament.dataset(), sandbox="process")
        return {"runs": round_.board.total}


def _run(options: argparse.Namespace) -> dict[str, Any]:
    with Tournament(read_tournament(options.root)) as tournament:
        round_ = tournament.open_round(tournament.dataset(), sandbox="process")
        began = time.perf_counter()
        logs = LogStore(tournament.config.state / "logs")
        recorder = tournament.store.recorder(logs)
        node = Node(NullExecutor(round_.lineup.batches))
        engine = LocalEngine(node, [Slot(f"cpu{i}") for i in range(options.slots)])
        scheduler = Scheduler(round_.lineup, round_.board, round_.store_state, engine, recorder)
        progress = scheduler.run()
        recorder.close()
        work_s = time.perf_counter() - began
        scheduler.cancel()
        node.close()
        logs.close()
        commits = recorder.commits
    database = sum(path.stat().st_size for path in options.root.glob("state/tournament.db*"))
    return {"work_s": work_s, "runs": progress.finished, "commits": commits, "database_mb": database / 1e6}


def _forget(options: argparse.Namespace) -> dict[str, Any]:
    """Drop the tables that were kept, so that the next ones are computed from the rows."""
    with closing(sqlite3.connect(read_tournament(options.root).database)) as connection, connection:
        return {"dropped": connection.execute("DELETE FROM summary").rowcount}


def _score(options: argparse.Namespace) -> dict[str, Any]:
    digest = hashlib.sha256()
    with Tournament(read_tournament(options.root), create=False) as tournament:
        boards = load_leaderboards(tournament, tournament.dataset, tuple(View))
    for board in boards.values():
        digest.update(json.dumps(board.to_json()).encode())
    return {"digest": digest.hexdigest()}


def _report(options: argparse.Namespace) -> dict[str, Any]:
    # Here, because every stage's time and memory would hold them.
    from harness.report.html.page import write_report
    from harness.views.report_reader import read_report

    page = options.root / "report.html"
    with Tournament(read_tournament(options.root), create=False) as tournament:
        write_report(read_report(tournament), page)
    return {"megabytes": page.stat().st_size / 1e6}


def _plans(options: argparse.Namespace) -> dict[str, Any]:
    """How SQLite executes every query on the runs that resuming and scoring make."""
    seen: dict[str, Any] = {}

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:  # noqa: ANN401
        if re.search(r"\bFROM (run|score)\b", statement) and "EXPLAIN" not in statement:
            seen.setdefault(" ".join(statement.split()), parameters)

    with Tournament(read_tournament(options.root), create=False) as tournament:
        event.listen(tournament.store.engine, "before_cursor_execute", note)
        dataset = tournament.dataset()
        tournament.open_round(dataset, sandbox="process")
        load_results(tournament, dataset)
        with tournament.store.engine.connect() as connection:
            return {"plans": [[statement, [row[3] for row in connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters)]] for statement, parameters in seen.items()]}


STAGES = {"plans": _plans, "register": _register, "plan": _plan, "run": _run, "forget": _forget, "score": _score, "report": _report}

if __name__ == "__main__":
    main()
