"""Remove what a killed harness left: containers with our labels whose owner is dead. Never by a name or a pattern."""

from __future__ import annotations

from docker import APIClient
from docker.errors import NotFound

from harness.errors import EngineError
from harness.sandbox import owner
from harness.sandbox.docker.client import ENGINE_FAILURES, explain


def remove_leftovers(api: APIClient, tournament: str | None) -> list[str]:
    """Remove dead owners' containers, of one tournament or of all; says what was removed.

    Raises:
        EngineError: The engine does not answer.
    """
    ours = [f"{owner.PREFIX}=1", owner.OWNER]
    wanted = [ours] if tournament is None else [[*ours, f"{owner.TOURNAMENT}={tournament}"], [*ours, owner.BUILDER]]
    removed = []
    try:
        for found in (found for labels in wanted for found in api.containers(all=True, filters={"label": labels})):
            labels = found.get("Labels") or {}
            if owner.alive(labels.get(owner.OWNER, "")):
                continue
            try:
                api.remove_container(found["Id"], v=True, force=True)
            except NotFound:
                continue
            removed.append(f"container {found['Id'][:12]} (run {labels.get(f'{owner.PREFIX}.run', '?')})")
    except ENGINE_FAILURES as error:
        problem = f"The Docker engine failed to remove leftovers ({explain(error)})."
        raise EngineError(problem, "Run `harness doctor`.") from error
    return removed
