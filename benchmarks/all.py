"""All benchmarks, one after the other.

`--quick` takes small sizes: it shows that everything still runs, not how fast it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.measure import REPOSITORY, machine

#: Module to (arguments, arguments with --quick). The peer comes last: it takes longest and needs the entries' libraries.
BENCHMARKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "startup": ((), ("--repeats=2",)),
    "data_path": ((), ("--repeats=1", "--images=20")),
    "rank_sets": ((), ("--data-sets=5",)),
    "query_round": ((), ("--rounds=5",)),
    "detectors": ((), ("--attacks=8", "--defenses=4", "--detectors=2", "--images=200")),
    "cluster": ((), ("--empty=1/4096", "--nodes=1,2", "--runs=5")),
    "contest_size": (("--sizes=1/16,1/4,1",), ("--sizes=1/256,1/64",)),
    "peer": ((), ("--quick",)),
}


def main() -> int:
    """Run the chosen ones; the exit status says whether all of them came to an end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="Which; all by default.")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    print(f"Benchmarks on {machine()}.", flush=True)
    failed = []
    for name in options.names or BENCHMARKS:
        print(f"\n## {name}\n", flush=True)
        began = time.monotonic()
        ended = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *BENCHMARKS[name][options.quick]], check=False,
                               cwd=REPOSITORY)
        print(f"\n({name}: {time.monotonic() - began:.0f} s)", flush=True)
        failed += [name] if ended.returncode else []
    if failed:
        print(f"Did not come to an end: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
