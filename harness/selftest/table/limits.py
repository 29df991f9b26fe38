"""Programs that take more than their share, or end in an odd way."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK, _TIME, _OUT = one_of(Outcome.OK), one_of(Outcome.TIME_LIMIT), one_of(Outcome.OUTPUT_LIMIT)
_MEMORY, _NONZERO, _NOTHING = one_of(Outcome.MEMORY_LIMIT), one_of(Outcome.EXITED_NONZERO), one_of(Outcome.NO_OUTPUT)

ROWS = (
    # What the kernel holds for processes that it refuses counts as the container's memory for a while: either limit may end it.
    Row("fork-bomb", "forks without end", one_of(Outcome.TIME_LIMIT, Outcome.MEMORY_LIMIT)),
    Row("thread-bomb", "starts threads without end", one_of(Outcome.TIME_LIMIT, Outcome.MEMORY_LIMIT)),
    Row("memory-bomb", "allocates without end", _MEMORY, process=True),
    Row("memory-bomb-in-a-child", "lets a child allocate without end", _MEMORY, process=True),
    Row("busy-loop", "computes past its limit", _TIME, process=True),
    Row("sleeps-ignoring-signals", "sleeps past its limit and ignores every signal that it can", _TIME, process=True),
    Row("stops-itself", "stops itself and its child (SIGSTOP)", _TIME, process=True),
    Row("daemon-writes-on", "leaves a daemon that spoils the outputs after the program has ended", _OK),
    Row("fills-disk-with-one-file", "fills the output with one file", _OUT, process=True),
    Row("fills-disk-with-a-million-files", "fills the output with a million files", _OUT, process=True),
    Row("sparse-terabyte", "makes a sparse file of 1 TB", _OK, hunts=True, process=True),
    Row("fills-its-layer", "fills the container's own layer", _OUT, check="names_the_layer"),
    Row("holds-unlinked-files", "fills its layer with files that it unlinks and keeps open or mapped", _OUT,
        check="names_the_layer"),
    Row("fills-bound-files", "fills the files that the engine binds into its container", _OUT, check="names_the_layer"),
    Row("fills-tmp-and-shm", "fills /tmp and /dev/shm beyond their size", _OK, hunts=True),
    Row("nests-directories", "nests 3,000 directories in the output", _OK, process=True),
    Row("floods-stdout", "prints without end", _TIME, check="logs_bounded", process=True),
    Row("floods-stderr-with-escape-codes", "prints terminal control codes without end", _TIME, check="logs_bounded", process=True),
    Row("overwrites-at-exit", "writes good images and cuts them short at its exit", one_of(Outcome.BAD_OUTPUT), "none", "all",
        process=True),
    Row("exits-137-by-itself", "exits with 137, the code of a program killed for memory", _NONZERO, check="exit_code_137",
        process=True),
    Row("exits-3-with-everything-done", "exits with 3 after good work", _NONZERO, process=True),
    Row("crashes", "dies of a segmentation fault after good work", _NONZERO, process=True),
    Row("does-nothing", "exits with 0 and has done nothing", _NOTHING, "none", process=True),
    Row("labels-nothing", "exits with 0 without a result.csv", _NOTHING, "none", track="defense", program="does-nothing.py",
        process=True),
    Row("closes-its-streams", "closes stdin, stdout and stderr before it works", _OK, process=True),
    Row("kills-everyone", "kills every process that it may", _OK),
)
