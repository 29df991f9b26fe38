"""Numbers as short words, the same in every table."""

from __future__ import annotations

from collections.abc import Mapping

NOTHING = "-"


def share(value: float | None, digits: int = 3) -> str:
    """A score or accuracy in [0, 1]."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def span(low: float | None, high: float | None) -> str:
    """An interval of scores, without the leading zeros that a narrow table has no room for."""
    if low is None or high is None:
        return NOTHING
    return f"{_bare(low)}-{_bare(high)}"


def _bare(value: float) -> str:
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0") else text[:4]


def rank_span(low: int | None, high: int | None) -> str:
    """An interval of ranks; one number where both ends agree."""
    if low is None or high is None:
        return NOTHING
    return str(low) if low == high else f"{low}-{high}"


def percent(value: float | None) -> str:
    """A coverage; rounded, but never to 100 % from below nor to 0 % from above."""
    if value is None:
        return NOTHING
    if 0 < value < 1:
        return f"{min(max(round(100 * value), 1), 99)}%"
    return f"{100 * value:.0f}%"


def seconds(value: float | None) -> str:
    """A run's time."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"  # noqa: PLR2004 - four characters either way


def duration(value: float | None) -> str:
    """A longer time: 8 s, 3 min 20 s, 2 h 05 min, 3 d 4 h."""
    if value is None:
        return "unknown"
    total = max(0, round(value))
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(value: float | None) -> str:
    """Bytes in binary units."""
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - the step of binary units
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit in {"B", "KiB"} or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004


def counts(outcomes: Mapping[str, int]) -> str:
    """Outcomes with their counts, good ones first."""
    ordered = sorted(outcomes.items(), key=lambda item: (item[0] != "ok", -item[1], item[0]))
    return " ".join(f"{name}={count}" for name, count in ordered if count)


def shorten(name: str, width: int) -> str:
    """A name shortened in its middle: both ends distinguish similar entries."""
    if len(name) <= width:
        return name
    if width <= 2:  # noqa: PLR2004 - no room for an ellipsis between two ends
        return name[:width]
    head = (width - 1 + 1) // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head):] if width - 1 > head else ''}"


def plural(count: int, word: str) -> str:
    """1 run, 2 runs, 1,000 runs."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
