"""Conditions: everything besides submission and input that can change the outcome of a run. Results are kept under them.

They derive from the configuration: a field that can change an outcome is marked where it is declared (``config.Condition``), and
the key of a result, the message about a named round that was made under others, and the limits of a run follow from the marks.
Forgetting a field in one of several lists would let runs under different limits share results.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from harness.config import Condition, Rules, SandboxConfig
from harness.sandbox.base import Limits

#: Incremented whenever a program's input, or how its output is read, changes: earlier results no longer apply.
CONTRACT_VERSION = 1
#: Conditions that are not fields of the tournament file, as shown to people.
_ELSEWHERE = {"contract": "contract version", "sandbox": "sandbox.backend", "gpu": "a GPU for each run:"}
_SECTIONS: dict[str, type[BaseModel]] = {"rules": Rules, "sandbox": SandboxConfig}


def marked() -> Iterator[tuple[str, str, Condition]]:
    """(section, field, mark) of every field of the tournament file that is a condition."""
    for section, model in _SECTIONS.items():
        for name, field in model.model_fields.items():
            yield from ((section, name, mark) for mark in field.metadata if isinstance(mark, Condition))


def limits_of(rules: Rules, sandbox: SandboxConfig) -> Limits:
    """The limits of one run."""
    values: dict[str, Any] = {mark.limit: _value(section, name, rules, sandbox)
                              for section, name, mark in marked() if mark.limit is not None}
    return Limits(**values)


def conditions_of(rules: Rules, sandbox: SandboxConfig, *, backend: str, isolation: str, gpu: bool) -> dict[str, object]:
    """The conditions of runs in this sandbox (the one that ``sandbox.backend`` came to) with this isolation."""
    found: dict[str, object] = {"contract": CONTRACT_VERSION, "sandbox": backend, "isolation": isolation, "gpu": gpu}
    for section, name, mark in marked():
        value = _value(section, name, rules, sandbox)
        if mark.always or value != _SECTIONS[section].model_fields[name].default:
            found[name] = value
    return found


def differences(made: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """What differs, in the words of the tournament file."""
    sections = {name: section for section, name, _ in marked()}

    def shown(conditions: Mapping[str, object], name: str) -> str:
        default = _SECTIONS[sections[name]].model_fields[name].default if name in sections else None
        value = conditions.get(name, default)
        return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    return [f"{_ELSEWHERE.get(name) or '.'.join((sections.get(name, 'sandbox'), name))} {shown(made, name)}, not {shown(now, name)}"
            for name in {**now, **made} if shown(made, name) != shown(now, name)]


def _value(section: str, name: str, rules: Rules, sandbox: SandboxConfig) -> object:
    value: object = getattr(rules if section == "rules" else sandbox, name)
    return value
