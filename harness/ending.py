"""The signals that end a command, and what is cleaned up then, the same for every command.

The first one raises ``Ended`` in the main thread, so that every ``finally`` and ``with`` on the way does its work; further ones are
ignored. Where an exception in the middle would leave something behind (a container that is being made), ``held`` lets the block end
first and ``asked`` tells it to hurry. Signals that were ignored at the start (``nohup``) stay so, but SIGINT and SIGTERM.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: SIGUSR1 and SIGXCPU are what batch systems send some time before they kill.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
#: Whoever sends one of these means it, whatever the shell that started us had set.
_ALWAYS = (signal.SIGINT, signal.SIGTERM)


class Ended(BaseException):
    """A signal asks the command to end.

    Args:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        # 130 for SIGTERM too, as documented; the others as a shell would say them.
        self.exit_code = 130 if number in _ALWAYS else 128 + number


class _Asked(threading.Event):
    """Set from a signal handler: without the lock of an event, which the interrupted code may be holding."""

    number: int | None = None

    def set(self) -> None:
        """Nobody but the handler sets it."""
        raise NotImplementedError

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None


asked = _Asked()
_held = 0


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    if asked.number is not None:
        return
    asked.number = number
    if not _held:
        raise Ended(number)


@contextmanager
def watched() -> Iterator[None]:
    """Handle the signals until the block ends; after one came, further ones are ignored for good."""
    asked.number = None
    before = {number: signal.getsignal(number) for number in SIGNALS}
    mine = [number for number, handler in before.items() if handler is not signal.SIG_IGN or number in _ALWAYS]
    for number in mine:
        signal.signal(number, _handle)
    try:
        yield
    finally:
        for number in mine:
            # Of several sent impatiently, one can arrive while the interpreter exits, and would kill it with another exit code.
            signal.signal(number, signal.SIG_IGN if asked.is_set() else before[number])


@contextmanager
def held() -> Iterator[None]:
    """Let the block end before a signal ends the command; in the main thread only, where signals are handled."""
    global _held  # noqa: PLW0603 - signals are the process's
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
    if asked.number is not None and not _held:
        raise Ended(asked.number)


def check() -> None:
    """End the command now if a signal asks for it, inside a block that is held too."""
    if asked.number is not None:
        raise Ended(asked.number)
