"""Where a tournament's time went, from what each run recorded; pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RunTimes:
    """Ended runs as parallel arrays, float64 seconds; NaN where something was not measured.

    Attributes:
        began: When the run was handed to the engine, seconds since the epoch.
        waited: From then until its program started.
        start: What the sandbox needed before the program ran.
        compute: The program's own wall clock.
        prepare: Staging its input (beside other runs).
        collect: Reading back, enforcing and storing what it left (beside other runs).
        slots: Names of the slots, one per run.
    """

    began: Floats
    waited: Floats
    start: Floats
    compute: Floats
    prepare: Floats
    collect: Floats
    slots: tuple[str, ...] = field(default=())


def active_s(began: Floats, ended: Floats) -> float:
    """Length of the union of intervals: pauses between two calls of `harness run` are none of its time."""
    if not len(began):
        return 0.0
    order = np.argsort(began)
    starts, ends = began[order], np.maximum.accumulate(ended[order])
    # A run that begins after all earlier ones have ended begins a new stretch.
    fresh = np.append(True, starts[1:] > ends[:-1])
    lasts = np.append(np.flatnonzero(fresh)[1:] - 1, len(starts) - 1)
    return float((ends[lasts] - starts[fresh]).sum())


def busy_share(times: RunTimes) -> float | None:
    """Share of all slots' time in which a submission ran: sum of run times / (slots x active time)."""
    busy = np.nan_to_num(times.start) + np.nan_to_num(times.compute)
    active = active_s(times.began, times.began + np.nan_to_num(times.waited) + busy)
    slots = len(set(times.slots))
    return min(1.0, float(busy.sum()) / (slots * active)) if slots and active > 0 else None


def overhead_s(times: RunTimes) -> float | None:
    """Time of a slot, per run, in which no program computed: starting, reading outputs, idle."""
    compute = np.nan_to_num(times.compute)
    active = active_s(times.began, times.began + np.nan_to_num(times.waited) + np.nan_to_num(times.start) + compute)
    slots = len(set(times.slots))
    return max(0.0, slots * active - float(compute.sum())) / len(compute) if slots else None


def spent(times: RunTimes) -> dict[str, float]:
    """Seconds by stage, over all runs."""
    stages = {"start": times.start, "compute": times.compute, "lay out": times.prepare, "read back and enforce": times.collect,
              "wait for a slot": times.waited}
    return {name: float(np.nansum(seconds)) for name, seconds in stages.items() if np.isfinite(seconds).any()}
