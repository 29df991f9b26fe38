"""Known container escapes, by the version that fixed them.

Only advisories that a submission's program could use are listed; newer ones are the organiser's to follow. A distribution may have
backported a fix to an older version number, so a version with a distribution's suffix is a warning to check, never a verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.doctor.check import Check

Version = tuple[int, ...]


@dataclass(frozen=True)
class Advisory:
    """One published hole.

    Attributes:
        ident: Its CVE number.
        fixed: First repaired version of each maintained branch, oldest first.
        effect: What a submission's program or image gains.
    """

    ident: str
    fixed: tuple[Version, ...]
    effect: str


#: NVIDIA security bulletins of September 2024, February 2025 and July 2025.
NVIDIA_TOOLKIT = (
    Advisory("CVE-2024-0132", ((1, 16, 2),), "a crafted image can read and write the host's file system"),
    Advisory("CVE-2025-23359", ((1, 17, 4),), "the incomplete fix of CVE-2024-0132: the same again"),
    Advisory("CVE-2025-23266", ((1, 17, 8),), "an image's LD_PRELOAD runs as root on the host, through a start-up hook"),
)

#: opencontainers/runc security advisories of January 2024 and November 2025.
RUNC = (
    Advisory("CVE-2024-21626", ((1, 1, 12),), "a leaked descriptor lets a crafted working directory reach the host's files"),
    Advisory("CVE-2025-31133", ((1, 2, 8), (1, 3, 3)), "masked paths can be redirected, which opens /proc for writing"),
    Advisory("CVE-2025-52565", ((1, 2, 8), (1, 3, 3)), "the console's mount can be redirected, with the same effect"),
    Advisory("CVE-2025-52881", ((1, 2, 8), (1, 3, 3)), "writes to /proc can be redirected past the host's labels"),
)


def parse(text: str) -> Version | None:
    """The first dotted number of a version string, None where there is none."""
    match = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in match.group().split(".")) if match else None


def open_holes(version: Version, advisories: tuple[Advisory, ...]) -> list[Advisory]:
    """The advisories that a version's number leaves open."""
    return [advisory for advisory in advisories if not _repaired(version, advisory.fixed)]


def _repaired(version: Version, fixed: tuple[Version, ...]) -> bool:
    own_branch = [each for each in fixed if each[:2] == version[:2]]
    return version >= (own_branch[0] if own_branch else fixed[-1])


def judge(name: str, text: str, advisories: tuple[Advisory, ...]) -> Check:
    """A component's version against what is known of it.

    Args:
        name: The check's name.
        text: The component's version string.
        advisories: What is known of the component.
    """
    version = parse(text)
    if version is None:
        return Check(name, "warn", f"its version is unknown ({text or 'none given'})", f"Look up the version of {name}.")
    holes = open_holes(version, advisories)
    if not holes:
        return Check(name, "ok", f"{text}: no advisory in our list applies")
    found = "; ".join(f"{each.ident} ({each.effect})" for each in holes)
    wanted = ".".join(str(part) for part in max(each.fixed[-1] for each in holes))
    if re.search(r"[-+~](ds|deb|\d+ubuntu|\d+\+|\d+~|\d+\.el)", text):
        return Check(name, "warn", f"{text}: by its version number vulnerable to {found}",
                     "Check in your distribution's security tracker whether it fixed them; otherwise install "
                     f"{wanted} or newer.")
    return Check(name, "warn", f"{text}: vulnerable to {found}", f"Install {wanted} or newer before running strangers' entries.")
