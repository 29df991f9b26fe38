"""What an earlier, killed harness left: containers, found by label and owner, and output areas, found by their mount's source.

Both as the sandbox's own cleanup finds them, so that nothing of anybody else's can be selected.
"""

from __future__ import annotations

import os
from pathlib import Path

from docker import APIClient

from harness.doctor.check import Check
from harness.errors import StoreError
from harness.sandbox import mounts, owner
from harness.sandbox.docker import cleanup, code_image
from harness.sandbox.output_area import unmount_leftovers
from harness.store.lock import writer_lock

_STEP = "Remove them with `harness doctor --clean`; the next `harness run` does so too."


def containers(api: APIClient, *, clean: bool) -> Check:
    """Containers of dead owners: reported, or removed.

    Raises:
        EngineError: The engine fails while they are removed.
    """
    name = "left containers"
    if clean:
        removed = cleanup.remove_leftovers(api, None)
        return Check(name, "ok", f"removed {len(removed)}: {', '.join(removed)}" if removed else "none")
    found = find(api)
    if not found:
        return Check(name, "ok", "none")
    return Check(name, "warn", f"{len(found)} of a killed harness: {', '.join(found[:5])}", _STEP)


def code_images(api: APIClient, tournament: str | None, *, clean: bool) -> Check:
    """Images that were made of submitted directories, one layer each on their base; made again when one is missing.

    Those of one tournament, or of all that use the engine: others may be running now.
    """
    name = "code images"
    if clean:
        return Check(name, "ok", f"removed {len(code_image.remove(api, None, tournament))}")
    found = code_image.of_tournament(api, tournament)
    return Check(name, "ok", f"{len(found)} of submitted directories; `harness doctor --clean` removes them" if found else "none")


def areas(state: Path, *, clean: bool) -> Check:
    """Output areas that are still mounted while no harness works on the state directory."""
    name, work = "left mounts", state / "work"
    if not os.access("/proc/self/mountinfo", os.R_OK):
        return Check(name, "warn", "/proc/self/mountinfo cannot be read: mounts are unknown", "Check the output of `mount`.")
    mounted = mounts.ours_under(work)
    if not mounted:
        return Check(name, "ok", "none")
    try:
        with writer_lock(state):
            if not clean:
                return Check(name, "warn", f"{len(mounted)} output areas of a killed harness below {work}", _STEP)
            return Check(name, "ok", f"removed {len(unmount_leftovers(work))} output areas below {work}")
    except StoreError as error:
        return Check(name, "ok", f"{len(mounted)} in use: {error.problem}")


def find(api: APIClient) -> list[str]:
    """Identifiers of containers with our labels whose owner is dead."""
    wanted = [f"{owner.PREFIX}=1", owner.OWNER]
    found = api.containers(all=True, filters={"label": wanted})
    return [each["Id"][:12] for each in found if not owner.alive((each.get("Labels") or {}).get(owner.OWNER, ""))]
