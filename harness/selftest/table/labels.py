"""What a defense may leave instead of labels."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK, _BAD, _NOTHING = one_of(Outcome.OK), one_of(Outcome.BAD_OUTPUT), one_of(Outcome.NO_OUTPUT)


def _right(name: str, tries: str) -> Row:
    """Every label must count as it was meant."""
    return Row(name, tries, _OK, track="defense", check="all_right", process=True)


def _refused(name: str, tries: str) -> Row:
    return Row(name, tries, _BAD, "none", "all", track="defense", process=True)


ROWS = (
    _refused("labels-symlink-to-true-labels", "leaves a link to the true labels for its result.csv"),
    _refused("labels-fifo", "leaves a pipe for its result.csv"),
    _refused("labels-directory", "leaves a directory for its result.csv"),
    Row("labels-huge", "writes a result.csv of 1 GB", one_of(Outcome.OUTPUT_LIMIT), "any", "any", track="defense", process=True),
    _refused("labels-sparse", "leaves a result.csv larger than what is read"),
    _right("labels-with-nul-bytes", "writes NUL bytes between its labels"),
    _right("labels-not-utf-8", "writes bytes that are not UTF-8 between its labels"),
    _right("labels-quoted-newlines", "writes quoted line ends"),
    _right("labels-unclosed-quote", "opens a quote and never closes it"),
    _right("labels-million-columns", "writes a row of a million columns"),
    _refused("labels-not-integers", "writes 3.0, [3], 0x3, True and other things that are no integers"),
    _right("labels-padded", "writes blanks, signs and zeros around its labels"),
    Row("labels-huge-integers", "writes integers of up to 5,000 digits", _OK, track="defense", check="all_wrong", process=True),
    _right("labels-unknown-names", "labels images that it was never given, by guessed names"),
    _right("labels-duplicates", "labels every image three times"),
    _right("labels-with-byte-order-mark", "starts with a byte order mark"),
    _right("labels-with-header-and-formulas", "writes a header, and formulas for whoever opens the file in a spreadsheet"),
    Row("labels-in-utf-16", "writes its labels in UTF-16", _NOTHING, "none", track="defense", process=True),
)
