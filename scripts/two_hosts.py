"""What two_hosts.sh does on its machines: write the contest, serve objects, run the round on both, compare."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import ray

from tests.e2e import make
from tests.e2e.conftest import Place, differences
from tests.helpers import stored

BUCKET = "contest"
PATIENCE_S = 60.0


def write(root: str) -> None:
    """The same contest twice: for one machine, and for two."""
    for name in ("one", "two"):
        place = Place(Path(root) / name)
        make.tournament(place.root, tally=place.tally)


def serve(host: str, port: str) -> None:
    """An object store with a bucket, until it is killed."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - on one of the machines only

    ThreadedMotoServer(host, int(port), verbose=False).start()
    with urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/{BUCKET}", method="PUT")):
        pass
    time.sleep(3600)


def play(root: str, address: str) -> None:
    """Run the round, once both machines are there."""
    ray.init(address, log_to_driver=False)
    until = time.monotonic() + PATIENCE_S
    while len(ray.nodes()) < 2:  # type: ignore[no-untyped-call]  # noqa: PLR2004 - they are two
        if time.monotonic() > until:
            raise SystemExit("The other machine has not joined.")
        time.sleep(0.2)
    ray.shutdown()
    place = Place(Path(root) / "two")
    make_far(place, address)
    place.run()


def make_far(place: Place, address: str) -> None:
    """Configure a contest to run on the cluster."""
    text = place.config.read_text(encoding="utf-8")
    place.config.write_text(text.replace("workers:\n", f"workers:\n  engine: ray\n  address: {address}\n")
                            + f"store: {{artifacts: 's3://{BUCKET}/two'}}\n", encoding="utf-8")


def compare(root: str) -> None:
    """Print on which machines runs were made; fail where the tables differ, or one machine had none."""
    one, two = Place(Path(root) / "one"), Place(Path(root) / "two")
    one.run()
    nodes = sorted({str(slot).partition("/")[0] for slot in stored.slots(two.state)[0]})
    print(f"{sum(two.runs().values())} runs, on {' and '.join(nodes)}.")
    found = differences(two.tables(), one.tables())
    print("The tables are those of one machine." if not found else "\n".join(found))
    if found or nodes != ["north", "south"] or one.runs() != two.runs():
        raise SystemExit(1)


PARTS: dict[str, Callable[..., None]] = {"write": write, "serve": serve, "play": play, "compare": compare}

if __name__ == "__main__":
    PARTS[sys.argv[1]](*sys.argv[2:])
