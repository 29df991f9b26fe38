"""The report of a round that runs, written again each minute beside it, and once more when it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.config import TournamentConfig
from harness.errors import HarnessError
from harness.report.html.page import RELOAD_S, write_report
from harness.store.database import explain
from harness.tournament.tournament import DEFAULT_ROUND, Tournament
from harness.views.report_reader import read_report

#: Until the first one is written, which needs the round's rows.
_FIRST_S = 2.0
#: Pause for each second that writing took: a large contest's page takes seconds of a processor that its runs could use.
_PAUSES = 19.0


class LiveReport:
    """A context manager: leaving it writes the last state, which does not reload itself.

    Args:
        config: The tournament's.
        config_path: Its file.
        round_name: The round that runs; None is the default one.
        path: The file to write.
        say: Called once why the page cannot be written meanwhile; the contest continues.
    """

    def __init__(self, config: TournamentConfig, config_path: Path, round_name: str | None, path: Path,
                 say: Callable[[str], None]) -> None:
        self._config, self._config_path, self._round = config, config_path, round_name or DEFAULT_ROUND
        self._path, self._say = path, say
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="report", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Write the last state.

        Raises:
            HarnessError: It cannot be written, and nothing worse happened.
        """
        self._ended.set()
        self._thread.join()
        try:
            self._write(live=False)
        except HarnessError:
            if error is None:
                raise

    def _keep_writing(self) -> None:
        pause, written, told = _FIRST_S, False, False
        while not self._ended.wait(pause):
            began = time.monotonic()
            try:
                self._write(live=True)
            except HarnessError as problem:
                # At first the round is not there yet.
                if written and not told:
                    told = True
                    self._say(f"harness: {problem.problem}")
                continue
            written = True
            pause = max(RELOAD_S, _PAUSES * (time.monotonic() - began))

    def _write(self, *, live: bool) -> None:
        with explain(self._config.database), Tournament(self._config, create=False) as tournament:
            view = read_report(tournament, self._round, self._config_path)
        write_report(view, self._path, live=live)
