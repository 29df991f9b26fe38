"""The smallest programs there are: static ELF files, written byte by byte, for images that hold nothing else."""

from __future__ import annotations

import struct
from typing import Literal

from harness.submission.entry_file import host_architecture

Action = Literal["exit 7", "exit uid"]

#: Machine code by architecture: exit(7), and exit(geteuid()).
_CODE: dict[str, dict[Action, bytes]] = {
    "amd64": {
        # mov edi, 7; mov eax, 60; syscall
        "exit 7": bytes.fromhex("bf07000000b83c0000000f05"),
        # mov eax, 107; syscall; mov edi, eax; mov eax, 60; syscall
        "exit uid": bytes.fromhex("b86b0000000f0589c7b83c0000000f05")},
    "arm64": {
        # mov x0, 7; mov x8, 93; svc 0
        "exit 7": bytes.fromhex("e00080d2a80b80d2010000d4"),
        # mov x8, 175; svc 0; mov x8, 93; svc 0
        "exit uid": bytes.fromhex("e81580d2010000d4a80b80d2010000d4")},
}
_MACHINES = {"amd64": 62, "arm64": 183}
_BASE = 0x400000
_HEADERS_BYTES = 64 + 56


def program(action: Action, *, foreign: bool = False) -> bytes:
    """An executable for this host's architecture, or for another one."""
    architecture = host_architecture()
    if foreign:
        architecture = "arm64" if architecture == "amd64" else "amd64"
    code = _CODE[architecture][action]
    size = _HEADERS_BYTES + len(code)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 2, _MACHINES[architecture], 1, _BASE + _HEADERS_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + head + segment + code
