"""What a killed self-test left: its directory with mounts below it, and the images that it made; told by their owner's death."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from docker.errors import APIError

from harness.sandbox import owner
from harness.sandbox.image_rules import CODE_TOURNAMENT
from harness.sandbox.output_area import unmount_leftovers

PREFIX = "harness-selftest-"
#: On every image that is made: whose it is.
IMAGE_OWNER = "harness.selftest.owner"
#: Before its owner, in the place of a tournament, on the image of an entry's code.
CODE_OWNER = "selftest of "
_OWNER_FILE = "owner"


def directory() -> Path:
    """A new directory for a self-test, with its owner's name in it; those of dead owners are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if not owner.alive((old / _OWNER_FILE).read_text(encoding="ascii")):
                unmount_leftovers(old)
                shutil.rmtree(old, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    (made / _OWNER_FILE).write_text(owner.myself(), encoding="ascii")
    return made


def remove_images(api: Any) -> None:  # noqa: ANN401 - untyped client
    """Remove the images of dead owners."""
    for label, before in ((IMAGE_OWNER, ""), (CODE_TOURNAMENT, CODE_OWNER)):
        for image in api.images(filters={"label": [label]}):
            said = (image.get("Labels") or {}).get(label, "")
            if said.startswith(before) and not owner.alive(said.removeprefix(before)):
                with contextlib.suppress(APIError):
                    api.remove_image(image["Id"], force=True)
