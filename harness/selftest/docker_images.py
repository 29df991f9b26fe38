"""Hostile images, made with the engine's own means and without any registry: a container that never runs, changed and committed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from harness.sandbox import owner
from harness.sandbox.base import Program
from harness.sandbox.docker import code_image, images
from harness.sandbox.image_rules import CODE_REPOSITORY, ImageRules
from harness.selftest import machine
from harness.selftest.build import BASE_IMAGE, PROGRAMS, Bench, Source, directory, program_text
from harness.selftest.leftovers import CODE_OWNER, IMAGE_OWNER
from harness.selftest.row import Row
from harness.submission import code_tree

_PLACE = "opt/entry"


def plain(row: Row, bench: Bench) -> Source:
    """The base image with the row's program, further files, and another configuration."""
    wanted = cast("dict[str, Any]", row.options["config"])
    config = {"Entrypoint": [f"/{_PLACE}/run"], "Cmd": None, "WorkingDir": f"/{_PLACE}", **wanted}
    config["Labels"] = {**wanted.get("Labels", {}), IMAGE_OWNER: owner.myself(), "harness.type": row.track,
                        "harness.profile": row.profile}
    ident = bench.api.create_container_from_config({
        "Image": BASE_IMAGE, "Entrypoint": ["/never-started"], "Cmd": [], "NetworkDisabled": True})["Id"]
    try:
        bench.api.put_archive(ident, "/", _files(row, bench))
        image = bench.api.commit(ident, conf=config)["Id"]
    finally:
        bench.api.remove_container(ident, v=True, force=True)
    bench.images.append(image)
    return Source(image, row.name, row.track)


def base(row: Row, bench: Bench) -> Source:
    """A 2017-format directory that names such an image as the one that holds its libraries."""
    image = plain(row, bench) if row.options.get("whole", True) else scratch(row, bench)
    return directory(replace(row, options={"container": image.where}), bench)


def on_code_image(row: Row, bench: Bench) -> Source:
    """A directory that names the image of another entry's code as its base."""
    other = directory(replace(row, name=f"{row.name}-other"), bench)
    code = Path(other.where)
    rules = ImageRules(tournament=f"{CODE_OWNER}{owner.myself()}")
    program = Program(code_tree.digest(code), BASE_IMAGE, code, "run", row.profile, rules=rules)
    library = images.require(bench.api, BASE_IMAGE)
    bench.images.append(code_image.ensure(bench.api, program, library, None).ident)
    name = f"{CODE_REPOSITORY}:{rules.code_tag(program.digest, library.ident)}"
    return directory(replace(row, options={"container": name}), bench)


def at_an_address(row: Row, bench: Bench) -> Source:
    """A directory whose base lies, as it says, at the planted port."""
    return directory(replace(row, options={"container": f"127.0.0.1:{bench.planted['port']}/x:1"}), bench)


def scratch(row: Row, bench: Bench) -> Source:
    """An image of one static program and nothing else."""
    spool = io.BytesIO()
    with tarfile.open(fileobj=spool, mode="w") as archive:
        _add(archive, "run", machine.program("exit 7", foreign=bool(row.options.get("foreign"))), 0o755)
    changes = [f"LABEL {IMAGE_OWNER}={owner.myself()}", f"LABEL harness.type={row.track}"]
    if row.options.get("starts", True):
        changes.append('ENTRYPOINT ["/run"]')
    answer = bench.api.import_image_from_data(spool.getvalue(), changes=changes)
    image = json.loads(answer.strip().splitlines()[-1])["status"]
    bench.images.append(image)
    return Source(image, row.name, row.track)


def _files(row: Row, bench: Bench) -> bytes:
    spool = io.BytesIO()
    options = row.options
    with tarfile.open(fileobj=spool, mode="w") as archive:
        _add(archive, f"{_PLACE}/run", program_text(row.file).encode(), 0o755)
        _add(archive, f"{_PLACE}/kit.py", (PROGRAMS / "shared-kit.py").read_bytes(), 0o644)
        planted = "".join(f"{key}={value}\n" for key, value in bench.planted.items())
        _add(archive, f"{_PLACE}/planted.txt", planted.encode(), 0o644)
        for path, mode in cast("Mapping[str, int]", options.get("elf", {})).items():
            _add(archive, path.lstrip("/"), machine.program("exit uid"), mode)
        for path, text in cast("Mapping[str, str]", options.get("files", {})).items():
            _add(archive, path.lstrip("/"), text.encode(), 0o644)
        for path, target in cast("Mapping[str, str]", options.get("links", {})).items():
            link = tarfile.TarInfo(path.lstrip("/"))
            link.type, link.linkname = tarfile.SYMTYPE, target.format(outside=bench.planted["canary"].rpartition("/")[0])
            archive.addfile(link)
    return spool.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    archive.addfile(member, io.BytesIO(data))
