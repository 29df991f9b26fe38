"""Which images of the host a directory may be based on: the organiser decides, never an author.

A directory's ``container`` is its author's text. Unchecked it could name another team's image or the harness's own image of another
team's code, whose files it would then read, and make the engine connect to any host and port. Pure: what the engine knows
of an image goes in, a sentence comes out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Self

#: The harness's own images of submitted directories.
CODE_REPOSITORY = "localhost/harness-code"
#: On each of them, the submission's digest. Not the containers' label: whoever starts such an image by hand must not own something
#: that cleanup removes.
CODE_LABEL = "harness.code-image"
#: On each of them, the tournament that it was made for.
CODE_TOURNAMENT = "harness.code-image.tournament"
#: On each of them, a digest of its files without metadata.json.
CODE_FILES = "harness.code-image.files"
#: On each of them, how many others it was made from, one after the other.
CODE_DEPTH = "harness.code-image.depth"
BASE_IMAGES = "localhost/harness-*"
#: On the base images that `docker/build.py` makes: a digest of what each was made from, and the seal that it was put on under.
IDENTITY_LABEL = "harness.build.identity"
SEAL_LABEL = "harness.build.seal"
#: Images that entries of 2017 name and no registry has any more, as patterns, and what of ours holds what they held.
OF_2017 = {
    "rwightman/pytorch-extra": "localhost/harness-compat-torch:1",
    "pytorch/pytorch*": "localhost/harness-compat-torch:1",
    "floydhub/pytorch*": "localhost/harness-compat-torch:1",
    "smly/nips17*": "localhost/harness-compat-torch:1",
    "gcr.io/tensorflow/tensorflow:*-py3": "localhost/harness-compat-tf:1",
    "gcr.io/tensorflow/tensorflow:1.*": "localhost/harness-compat-tf1:1",
    "gcr.io/tensorflow/tensorflow:latest*": "localhost/harness-compat-tf1:1",
    "tensorflow/tensorflow:1.*": "localhost/harness-compat-tf1:1",
    "goodfellow/competition*": "localhost/harness-compat-tf:1",
    "floydhub/tensorflow*": "localhost/harness-compat-tf:1",
}
_BARE_ID = re.compile(r"(sha256:)?[0-9a-f]{64}|sha256:[0-9a-f]+")
_LAYOUT = "3"


@dataclass(frozen=True)
class BaseImage:
    """What the name of an image stood for when it was looked up, once for all runs of a call.

    Attributes:
        ident: The image's id; None where it is not available.
        identity: What results obtained on it are kept under; empty where it is not available.
        refusal: Why it is not available.
    """

    ident: str | None
    identity: str = ""
    refusal: str = ""


@dataclass(frozen=True)
class ImageRules:
    """The rules for the images of one tournament.

    Attributes:
        allowed: Patterns of references that a directory may name; None for the base images and what is on the host under a name.
        taken: Ids of the images that are submissions themselves.
        tournament: Whose code images are made.
        secret: Key of code images' tags: an author who knows all digests still cannot name one.
        pinned: What names stand for until the end, wherever they are moved meanwhile; other names are looked up when they are met.
        stand_ins: Patterns of names that authors wrote, and the image of this host that each stands for; the first match holds.
    """

    allowed: tuple[str, ...] | None = None
    taken: frozenset[str] = frozenset()
    tournament: str = ""
    secret: int = 0
    pinned: Mapping[str, BaseImage] = field(default_factory=dict, hash=False)
    stand_ins: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of_a_trial(cls, allowed: tuple[str, ...] | None, stand_ins: tuple[tuple[str, str], ...] = ()) -> Self:
        """For a run outside of any tournament, whose code image nobody else shall find."""
        return cls(allowed, tournament="validate", secret=secrets.randbits(63), stand_ins=stand_ins)

    def meant(self, reference: str) -> str:
        """The image that a name stands for here; itself where the organiser does not replace it."""
        return next((image for pattern, image in self.stand_ins if _matches(pattern, reference)), reference)

    def may_pull(self, reference: str) -> bool:
        """Whether the engine may ask a registry for it."""
        return any(_matches(pattern, reference) for pattern in self.allowed or ()) and not (
            familiar(reference).startswith("localhost/") or _BARE_ID.fullmatch(reference))

    def problem(self, reference: str, ident: str, names: Sequence[str], labels: Mapping[str, str]) -> str | None:
        """Why a directory may not be based on an image that is here, as the end of a sentence; None where it may.

        Args:
            reference: As the directory names it.
            ident: The image's id.
            names: Its tags and digests on this host.
            labels: Its labels.
        """
        own = any(familiar(name).partition(":")[0].partition("@")[0] == CODE_REPOSITORY for name in (reference, *names))
        if own or CODE_LABEL in labels:
            return "is one that the harness made of a submission"
        if ident in self.taken:
            return "is a submission itself"
        if reference in dict(self.stand_ins).values() or any(
                _matches(pattern, reference) for pattern in (self.allowed if self.allowed is not None else (BASE_IMAGES,))):
            return None
        if self.allowed is not None:
            return "is not among those that the organiser allows (sandbox.images)"
        if familiar(reference) not in {familiar(name) for name in names}:
            # By its id, or a part of it: knowing the id of another team's image must gain nothing.
            return "has no such name on this host"
        return "is made to be a submission" if "harness.type" in labels else None

    def code_tag(self, digest: str, base_ident: str) -> str:
        """The tag of a code image."""
        text = f"{_LAYOUT} {digest} {base_ident}".encode()
        return hmac.new(self.secret.to_bytes(16, "big"), text, hashlib.sha256).hexdigest()[:40]


def seal(described: Mapping[str, Any]) -> str:
    """A digest of an image's layers and of what a program started in it inherits.

    Labels are inherited as well: by it an image that was made from another one by hand is told from that one.
    """
    config, layers = described.get("Config") or {}, (described.get("RootFS") or {}).get("Layers")
    inherited = [config.get(key) or None for key in ("Env", "WorkingDir", "User", "Entrypoint", "Cmd")]
    return hashlib.sha256(json.dumps([layers, inherited]).encode()).hexdigest()[:32]


def identity(reference: str, ident: str, labels: Mapping[str, str], sealed: str) -> str:
    """What results obtained on an image are kept under: what one of our own was made from, of any other its id.

    Only the host's own images may say what they are: the author of one in a registry could keep the label and change the rest.

    Args:
        reference: As the directory names it.
        ident: The image's id.
        labels: Its labels.
        sealed: Its seal, as it is now.
    """
    own = _matches(BASE_IMAGES, reference) and labels.get(SEAL_LABEL) == sealed
    return (labels.get(IDENTITY_LABEL) if own else None) or ident


def would_do(reference: str) -> str | None:
    """The image of ours that holds what one of 2017 held; None for any other."""
    return next((image for pattern, image in OF_2017.items() if _matches(pattern, reference)), None)


def familiar(reference: str) -> str:
    """A reference as the engine lists it: without the default registry, with a tag or a digest."""
    registry, path, version = _parts(reference)
    place = path.removeprefix("library/") if registry == "docker.io" else f"{registry}/{path}"
    return f"{place}{version or ':latest'}"


def _parts(reference: str) -> tuple[str, str, str]:
    """Registry, path, and tag or digest with its sign; as the engine reads a reference, so that `a:5000/b` is host and port."""
    name, at, digest = reference.partition("@")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = ("docker.io" if first == "index.docker.io" else first), rest
    else:
        registry, path = "docker.io", name
    path, colon, tag = path.partition(":")
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return registry, path, f"@{digest}" if at else f"{colon}{tag}"


def _matches(pattern: str, reference: str) -> bool:
    """Whether a reference is meant; part by part, so that no `*` of a name reaches over to the registry or the port."""
    if _BARE_ID.fullmatch(reference) or pattern.startswith("sha256:"):
        return pattern.startswith("sha256:") and fnmatchcase(reference, pattern)
    wanted, given = _parts(pattern), _parts(reference)
    version = not wanted[2] or fnmatchcase(given[2] or ":latest", wanted[2])
    return version and fnmatchcase(given[0], wanted[0]) and fnmatchcase(given[1], wanted[1])
