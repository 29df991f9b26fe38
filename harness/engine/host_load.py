"""What else the host was doing during a run: sampled once a second, so that a time can be judged fairly.

Runnable threads per core say whether programs had to share cores; a gap between two samples says that this process itself was
stopped (SIGSTOP, a suspended laptop, a frozen virtual machine), in which case a program was not watched at all. Linux's pressure
figures would say the first more finely, but are absent on many hosts.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path

_STAT = Path("/proc/stat")
_EVERY_S = 1.0
#: Samples kept: an hour of them; a longer run is judged by its last hour.
_KEPT = 3600
#: Mean runnable threads per core from which a host counts as overloaded. Two would be one waiting thread for each running one
#: all the time: programs then take about twice as long as on an idle host.
OVERLOADED = 2.0
#: A gap between samples from which the harness counts as having been stopped.
STOPPED_S = 5.0


@dataclass(frozen=True, slots=True)
class Load:
    """The host during a run.

    Attributes:
        per_core: Mean runnable threads per core, None where the kernel does not say.
        stopped_s: Longest time without a sample.
    """

    per_core: float | None
    stopped_s: float

    @property
    def overloaded(self) -> bool:
        """Whether a run that hit its time limit meanwhile deserves another try; where it is unknown, it does."""
        return self.per_core is None or self.per_core > OVERLOADED or self.stopped_s > STOPPED_S


class HostLoad:
    """Samples the host's runnable threads in the background.

    Args:
        sample: How many threads are runnable now; read from the kernel by default.
    """

    def __init__(self, sample: Callable[[], int | None] | None = None) -> None:
        self._sample = sample or runnable_threads
        self._cores = os.cpu_count() or 1
        self._samples: deque[tuple[float, int | None]] = deque(maxlen=_KEPT)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hostload", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._end.wait(_EVERY_S):
            self._samples.append((time.monotonic(), self._sample()))

    def since(self, began: float) -> Load:
        """The load between ``began`` (monotonic seconds) and now."""
        kept, now = list(self._samples), time.monotonic()
        seen = list(takewhile(lambda entry: entry[0] >= began, reversed(kept)))[::-1]
        if not seen:
            # A run may be shorter than the time between two samples. The kernel takes longer to say how many threads are runnable
            # than all else that such a run costs, so it is asked only where the last answer is old.
            fresh = kept and now - kept[-1][0] <= 2 * _EVERY_S
            seen = [(now, kept[-1][1] if fresh else self._sample())]
        counts = [count for _, count in seen if count is not None]
        per_core = round(sum(counts) / len(counts) / self._cores, 2) if counts else None
        times = [began, *(at for at, _ in seen), time.monotonic()]
        return Load(per_core, max(late - early for early, late in pairwise(times)))

    def close(self) -> None:
        """End the sampling."""
        self._end.set()
        self._thread.join()


def runnable_threads() -> int | None:
    """Threads that run or could run now; None where the kernel does not say."""
    try:
        for line in _STAT.read_text(encoding="ascii").splitlines():
            if line.startswith("procs_running "):
                return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
