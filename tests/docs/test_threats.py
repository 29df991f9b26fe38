"""The guide's attacks of each threat keep to their bound by themselves: nothing of them is cut, scaled back or refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from harness.formats.threats import enforce
from harness.tracks import Threat
from tests.docs.guide import ROOT

SECTION = re.search(r"\n### Threats\n(.*?)\n### ", (ROOT / "docs" / "submissions.md").read_text(encoding="utf-8"), re.DOTALL)
#: By threat, in the order of the section: the bound that it is tried with.
BOUNDS = {Threat.L2: 100, Threat.PATCH: 5, Threat.UNRESTRICTED: 255}


@pytest.mark.parametrize("threat", BOUNDS)
def test_an_attack_of_the_guide(threat: Threat) -> None:
    assert SECTION is not None
    programs = re.findall(r"```python\n(.*?)```", SECTION[1], re.DOTALL)
    assert len(programs) == len(BOUNDS)
    given: dict[str, Any] = {"np": np}
    exec(programs[list(BOUNDS).index(threat)], given)
    clean = np.random.default_rng(1).integers(0, 256, (4, 12, 12, 3), np.uint8)
    made, bound = given["attack"](clean, BOUNDS[threat]), BOUNDS[threat]
    found = enforce(threat, clean, made, bound)
    assert made.dtype == np.uint8
    assert np.array_equal(found.pixels, made)
    assert found.refused == {}
    assert (made != clean).any(axis=(1, 2, 3)).all()
