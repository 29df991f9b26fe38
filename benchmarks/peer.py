"""The same submissions three ways: as in 2017, by this harness, and in one Python process.

*2017* is the plain way of that year's toolkit in our own few lines: one container (or process) for each submission, one after
the other, attacks over the whole data set, defenses over all that the attacks made; between them every image is read, clipped to
epsilon and written again as PNG at Pillow's default level, on one core. *Ours* is `harness run` as a person starts it, on a fresh
state directory, defenses on clean images included (2017 did not do those). *The limit* calls the same functions in one process,
everything in memory: with one thread and with all cores, before and after the others; the best of them.

Two workloads: `digits`, samples with nets of torch on 400 images of 32x32, where starting programs is what costs; `contest`, small
programs of numpy and Pillow on 300 images of 299x299, where moving pixels is what costs, as in 2017.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from unittest import mock

from benchmarks.measure import load, machine, stage, table, verdict
from benchmarks.peer_ways import Labels, Took, as_in_2017, by_harness, in_one_process
from benchmarks.peer_workloads import Workload, make
from harness.dataset.load import load as load_dataset
from harness.tournament.choose_sandbox import DockerHost

WORKLOADS = ("contest", "digits")


def main() -> None:
    """Measure every way and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workload", choices=[*WORKLOADS, "both"], default="both")
    parser.add_argument("--sandbox", choices=["docker", "process"])
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--images", type=int, default=300, help="Size of the contest workload.")
    parser.add_argument("--repeats", type=int, default=1, help="Measure 2017 and ours so often and take the best, as of the limit.")
    parser.add_argument("--quick", action="store_true", help="Few images, few ways: shows that it runs.")
    parser.add_argument("--keep", type=Path, help="Keep the files here: an empty directory, or one not there yet.")
    parser.add_argument("--stage", choices=["limit"])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.stage:
        workload = make(options.workload, options.root, options.images, quick=options.quick)
        print(json.dumps(asdict(in_one_process(workload, options.threads))))
        return
    sandbox = options.sandbox or ("process" if DockerHost().absent() else "docker")
    for name in WORKLOADS if options.workload == "both" else (options.workload,):
        with tempfile.TemporaryDirectory(prefix="peer-") as directory:
            root = options.keep or Path(directory)
            workload = make(name, root / name, options.images, quick=options.quick)
            print(f"{workload}, {len(load_dataset(workload.dataset).ids)} images, {sandbox} sandbox, {options.slots} slots. "
                  f"{machine()}.\n", flush=True)
            print(compare(workload, root / name, sandbox, options), flush=True)
            print(f"\nAt the end: {load()}.\n", flush=True)


def compare(workload: Workload, root: Path, sandbox: str, options: argparse.Namespace) -> str:
    """The table."""
    def best(what: str, measure: Callable[[], Took]) -> Took:
        found = []
        for _ in range(options.repeats):
            found.append(measure())
            told(what, found[-1])
        return min(found, key=lambda took: took.seconds)

    whole = len(load_dataset(workload.dataset).ids)
    limits = at_the_limit(workload, root)
    plain = best("2017", lambda: as_in_2017(workload, root, sandbox))
    ours = [(f"ours, isolation {isolation}, batches of {batch or whole}", isolation, target,
             best(f"{isolation}, batches of {batch or whole}",
                  partial(by_harness, workload, root, sandbox, isolation, options.slots, batch or whole)))
            for isolation, batch, target in workload.ways]
    limits += at_the_limit(workload, root)
    limit = min(limits, key=lambda took: took.seconds)

    def row(way: str, took: Took, target: float | None, limit_target: float | None) -> list[object]:
        ratio, to_limit = took.seconds / plain.seconds, took.seconds / limit.seconds
        busy = "" if took.busy is None else f"{took.busy:.1%} {'ok' if took.busy >= 0.95 else 'MISSED'}"
        reached = "" if target is None else f"<= {target:g} {verdict(ratio, target)}"
        if target is not None and limit.seconds / plain.seconds > target:
            reached += " (by the limit too)"
        return [way, took.seconds, ratio, reached, to_limit,
                "" if limit_target is None else f"<= {limit_target:g} {verdict(to_limit, limit_target)}", busy,
                took.note, differing(took.labels, plain.labels)]

    singles = [took for took in limits if took.note.endswith(" 1 threads")]
    rows = [row("2017, one at a time", plain, None, None), row("the limit, one process", limit, None, None)]
    if limit not in singles:
        rows.append(row("the same, one thread", min(singles, key=lambda took: took.seconds), None, None))
    rows += [row(way, took, target, 1.3 if isolation == "submission" else None) for way, isolation, target, took in ours]
    return table(["way", "wall, s", "of 2017's", "target", "of the limit", "target", "slots busy (>= 95%)", "note",
                  "labels unlike 2017's"], rows)


def at_the_limit(workload: Workload, root: Path) -> list[Took]:
    """With one thread and with all cores, in programs of their own: imports and weights are part of it."""
    found = []
    for threads in sorted({1, os.cpu_count() or 1}):
        # The libraries' own threads, where the pieces are not dealt to threads of ours.
        with mock.patch.dict(os.environ, {} if workload.piece else {"OMP_NUM_THREADS": str(threads)}):
            found.append(Took(**stage("peer", "limit", workload=workload.name, root=root, threads=threads)))
        told(f"the limit, {threads} threads", found[-1])
    return found


def told(what: str, took: Took) -> None:
    """Say how far it is: this takes minutes."""
    busy = "" if took.busy is None else f", busy {took.busy:.1%}"
    print(f"  {what}: {took.seconds:.1f} s{busy} ({load()})", file=sys.stderr, flush=True)


def differing(labels: Labels, others: Labels) -> str:
    """How many labels two ways gave differently: they did the same work if none."""
    if labels.keys() != others.keys():
        return f"other pairs: {sorted(labels.keys() ^ others.keys())}"
    unlike = sum(a != b for pair, given in labels.items() for a, b in zip(given, others[pair], strict=True))
    missing = sum(label < 0 for given in labels.values() for label in given)
    return f"{unlike} of {sum(map(len, labels.values())):,}" + (f", {missing} missing" if missing else "")


if __name__ == "__main__":
    main()
