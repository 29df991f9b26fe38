"""Conditions derive from the fields that are marked in the configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.config import Rules, SandboxConfig
from harness.sandbox.base import Limits
from harness.tournament.conditions import conditions_of, differences, limits_of, marked

#: What changes no outcome of a run with the same submission and input, and why.
NO_CONDITIONS = {
    "rules.batch_size": "another batch is another input", "rules.max_epsilon": "another bound is another input",
    "rules.threats": "another bound or threat is another input",
    "rules.mixed_batches": "a mixed batch is another input", "rules.audit": "adds runs, changes none",
    "rules.rejection": "answers are judged when they are scored",
    "rules.access": "adds runs, changes none", "rules.query": "other queries are another input",
    "sandbox.backend": "what it came to is the condition `sandbox`", "sandbox.isolation": "given by each run",
    "sandbox.images": "which images may be named, not what runs",
}
FIELDS = [(section, name) for section, model in (("rules", Rules), ("sandbox", SandboxConfig)) for name in model.model_fields]
OTHER = {"runtime": "runsc"}


def conditions(rules=None, sandbox=None, **options):
    given: dict[str, Any] = {"backend": "docker", "isolation": "run", "gpu": False} | options
    return conditions_of(rules or Rules(), sandbox or SandboxConfig(), **given)


def changed(section, name):
    """The configuration with one field changed."""
    model = {"rules": Rules(), "sandbox": SandboxConfig()}
    value = OTHER.get(name) or getattr(model[section], name) * 2
    model[section] = type(model[section]).model_validate(model[section].model_dump() | {name: value})
    return model["rules"], model["sandbox"]


@pytest.mark.parametrize(("section", "name"), FIELDS, ids=lambda part: part)
def test_every_field_is_a_condition_or_says_why_not(section, name):
    if f"{section}.{name}" in NO_CONDITIONS:
        assert (section, name) not in {(s, n) for s, n, _ in marked()}
        return
    now = conditions(*changed(section, name))
    assert json.dumps(now, sort_keys=True) != json.dumps(conditions(), sort_keys=True)
    [difference] = differences(conditions(), now)
    assert difference.startswith(f"{section}.{name} ")


@pytest.mark.parametrize("option", [{"backend": "process"}, {"isolation": "submission"}, {"gpu": True}], ids=str)
def test_how_a_run_is_held_is_a_condition(option):
    assert conditions(**option) != conditions()
    assert len(differences(conditions(), conditions(**option))) == 1


def test_results_of_the_first_version_keep_their_conditions():
    # As that version wrote them: other keys than these would run everything again.
    assert conditions() == {
        "contract": 1, "sandbox": "docker", "isolation": "run", "gpu": False, "runtime": None, "time_limit_s": 500.0,
        "cpus": 1.0, "memory": 4 << 30, "shm": 1 << 30, "tmp": 1 << 30, "pids": 512, "output": 512 << 20, "layer": 4 << 30}


def test_every_limit_of_the_file_reaches_the_run():
    limits = {mark.limit: (section, name) for section, name, mark in marked() if mark.limit is not None}
    # How many files an output area may hold is no setting.
    assert set(Limits.__dataclass_fields__) - set(limits) == {"output_files"}
    for limit, place in limits.items():
        assert getattr(limits_of(*changed(*place)), limit) == 2 * getattr(limits_of(Rules(), SandboxConfig()), limit)
