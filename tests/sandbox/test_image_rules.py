"""Which images a directory may be based on, as a table; references are read as the engine reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness.sandbox.image_rules import CODE_LABEL, IDENTITY_LABEL, OF_2017, SEAL_LABEL, ImageRules, familiar, identity

IDENT = "sha256:" + "ab" * 32
THEIRS = "sha256:" + "cd" * 32


@pytest.mark.parametrize(("reference", "listed"), [
    ("python", "python:latest"), ("python:3.11", "python:3.11"), ("library/python", "python:latest"),
    ("docker.io/library/python:3", "python:3"), ("index.docker.io/library/python", "python:latest"),
    ("teams/x", "teams/x:latest"), ("docker.io/teams/x:1", "teams/x:1"), ("localhost/harness-light:1", "localhost/harness-light:1"),
    ("example.org:5000/a/b", "example.org:5000/a/b:latest"), ("python:5000/x", "python:5000/x:latest"),
    ("python:3@sha256:ab", "python@sha256:ab"),
])
def test_references_are_read_as_the_engine_lists_them(reference: str, listed: str) -> None:
    assert familiar(reference) == listed


#: Reference, its names on the host, labels, patterns; whether a directory may be based on it.
ROWS = {
    "a base image": ("localhost/harness-light:1", ["localhost/harness-light:1"], {}, None, True),
    "what is here under a name": ("docker.io/library/python:3", ["python:3"], {}, None, True),
    "by its id": (IDENT, ["python:3"], {}, None, False),
    "by a part of its id": ("abababababab", ["python:3"], {}, None, False),
    "by its id without the algorithm": (IDENT[7:], ["python:3"], {}, None, False),
    "a code image": ("localhost/harness-code:1", ["localhost/harness-code:1"], {}, None, False),
    "a code image under another name": ("x:1", ["x:1", "localhost/harness-code:1"], {}, None, False),
    "a code image by its label": ("x:1", ["x:1"], {CODE_LABEL: "d"}, None, False),
    "a code image, though all is allowed": ("localhost/harness-code:1", ["localhost/harness-code:1"], {}, ("localhost/*",), False),
    "made to be a submission": ("team/x:1", ["team/x:1"], {"harness.type": "attack"}, None, False),
    "allowed by name": ("python:3.11-slim", ["python:3.11-slim"], {}, ("python:3.*-slim",), True),
    "another tag": ("python:2.7", ["python:2.7"], {}, ("python:3.*-slim",), False),
    "any tag where none is said": ("python:2.7", ["python:2.7"], {}, ("python",), True),
    "a digest where a tag is asked for": ("python:3.1-slim@sha256:ab", ["python@sha256:ab"], {}, ("python:3.*-slim",), False),
    "a base image that is not on the list": ("localhost/harness-light:1", ["localhost/harness-light:1"], {}, ("python",), False),
    "a port that looks like a tag": ("python:5000/x", ["python:5000/x:latest"], {}, ("python:*",), False),
    "a registry that looks like a name": ("python.evil.example/x", ["python.evil.example/x:latest"], {}, ("python*",), False),
    "a registry that ends alike": ("evilexample.org/x", ["evilexample.org/x:latest"], {}, ("example.org/*",), False),
    "a registry's port": ("example.org:22/x", ["example.org:22/x:latest"], {}, ("example.org/*",), False),
    "all of a registry": ("example.org/a/b:1", ["example.org/a/b:1"], {}, ("example.org/*",), True),
    "an id where ids are allowed": (IDENT, [], {}, ("sha256:*",), True),
}


@pytest.mark.parametrize("row", ROWS)
def test_what_a_directory_may_be_based_on(row: str) -> None:
    reference, names, labels, allowed, may = ROWS[row]
    said = ImageRules(allowed).problem(reference, IDENT, names, labels)
    assert (said is None) is may, said


@pytest.mark.parametrize("allowed", [None, ("team/*",), ("*",)])
def test_never_an_image_that_is_a_submission(allowed) -> None:
    assert ImageRules(allowed, frozenset({THEIRS})).problem("team/x:1", THEIRS, ["team/x:1"], {}) == "is a submission itself"


@pytest.mark.parametrize(("allowed", "reference", "may"), [
    (None, "python:3", False), (None, "127.0.0.1:22/x", False), ((), "python:3", False),
    (("python",), "python:3", True), (("python",), "127.0.0.1:22/python", False), (("python:*",), "python:22/x", False),
    (("example.org/*",), "example.org:22/x", False), (("localhost/*",), "localhost/x", False), (("sha256:*",), IDENT, False),
    (("*",), "127.0.0.1:22/x", False), (("*/*",), "169.254.169.254/latest/x", False),
])
def test_only_what_is_listed_is_pulled(allowed, reference: str, may: bool) -> None:
    assert ImageRules(allowed).may_pull(reference) is may


def test_tags_of_code_images_cannot_be_guessed() -> None:
    first, second = ImageRules(secret=1), ImageRules(secret=2)
    assert first.code_tag("d", IDENT) == ImageRules(secret=1).code_tag("d", IDENT)
    tags = {first.code_tag("d", IDENT), second.code_tag("d", IDENT), first.code_tag("e", IDENT), first.code_tag("d", THEIRS)}
    assert len(tags) == 4


LABELS = {IDENTITY_LABEL: "torch 2", SEAL_LABEL: "s"}
#: Reference, labels; what results on the image are kept under. Its seal is `s`.
IDENTITIES = {
    "made by docker/build.py": ("localhost/harness-full:1", LABELS, "torch 2"),
    "of the organiser's own directory": ("localhost/harness-mine:2", LABELS, "torch 2"),
    "without labels": ("localhost/harness-full:1", {}, IDENT),
    "of an earlier docker/build.py": ("localhost/harness-full:1", {"harness.build.digest": "x"}, IDENT),
    "made from one of ours, under its name": ("localhost/harness-full:1", LABELS | {SEAL_LABEL: "another"}, IDENT),
    "without a seal": ("localhost/harness-full:1", {IDENTITY_LABEL: "torch 2"}, IDENT),
    "an empty label": ("localhost/harness-full:1", LABELS | {IDENTITY_LABEL: ""}, IDENT),
    "of a registry, which may say anything": ("team/harness-full:1", LABELS, IDENT),
    "of a registry with a port": ("localhost:5000/harness-full:1", LABELS, IDENT),
    "another name of this host": ("localhost/other:1", LABELS, IDENT),
}


@pytest.mark.parametrize("row", IDENTITIES)
def test_what_results_on_an_image_are_kept_under(row: str) -> None:
    reference, labels, wanted = IDENTITIES[row]
    assert identity(reference, IDENT, labels, "s") == wanted


STAND_INS = (("pytorch/pytorch*", "localhost/harness-compat-torch:1"), ("gcr.io/tensorflow/tensorflow:1.*", "localhost/tf:1"))


@pytest.mark.parametrize(("named", "meant"), [
    ("pytorch/pytorch", "localhost/harness-compat-torch:1"),
    ("docker.io/pytorch/pytorch:v0.2", "localhost/harness-compat-torch:1"),
    ("gcr.io/tensorflow/tensorflow:1.1.0", "localhost/tf:1"),
    ("gcr.io/tensorflow/tensorflow:1.3.0-gpu", "localhost/tf:1"),
    ("gcr.io/tensorflow/tensorflow:2.0", "gcr.io/tensorflow/tensorflow:2.0"),
    ("elsewhere/pytorch/pytorch", "elsewhere/pytorch/pytorch"),
])
def test_what_the_organiser_runs_instead(named, meant):
    assert ImageRules(stand_ins=STAND_INS).meant(named) == meant
    assert ImageRules().meant(named) == named


def test_what_stands_in_is_allowed_and_a_submission_is_not():
    rules = ImageRules(("other/*",), frozenset({THEIRS}), stand_ins=STAND_INS)
    assert rules.problem("localhost/tf:1", IDENT, ["localhost/tf:1"], {}) is None
    assert rules.problem("localhost/tf:1", THEIRS, ["localhost/tf:1"], {}) == "is a submission itself"


def test_the_shipped_file_offers_what_the_messages_name():
    text = (Path(__file__).resolve().parents[2] / "tournament.yaml").read_text()
    commented = text.partition("# images:\n")[2].partition("state:")[0]
    assert yaml.safe_load(commented.replace("#", "")) == OF_2017
