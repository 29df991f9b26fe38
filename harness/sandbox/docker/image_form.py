"""What is wrong with how an image starts its program, in terms of its Dockerfile.

The contract's arguments follow the ENTRYPOINT, else the CMD. A shell swallows them, they replace a CMD, and the user
that a program runs as may not reach what its author, as root, could: such images run on the author's machine and end here with a
message of a shell or an interpreter about something else. Nothing is run to see it, and nothing is refused for it: a run shows what
works.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docker import APIClient
from docker.errors import NotFound

from harness.sandbox import owner
from harness.sandbox.docker.client import ENGINE_FAILURES
from harness.submission.problems import Problem
from harness.untrusted_text import plain

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "busybox"})
#: What runs nothing by itself: it needs the file of a program.
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*|sh|bash|dash|ash|zsh|perl|ruby|node|julia|Rscript|java")
#: What runs the program that its arguments name; with what of its own stands before that.
_WRAPPERS = frozenset({"env", "tini", "dumb-init", "docker-init"})
#: Arguments of a shell's command that it can pass on.
_HANDED_ON = re.compile(r"\$(?:[@*0-9#]|\{[@*0-9])")
#: Options of interpreters that take no argument.
_FLAGS = re.compile(r"-[uBOIEsSvbdqx]+")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN = 160
_LINKS = 20
#: Files and directories that are looked at: an author chooses depth, links and PATH, and each is a request, for which the engine
#: mounts the image's file system (30 ms, 120 on a busy host). A program on the usual PATH with its script takes 15.
_MOST_LOOKS = 40
_NOBODY = 65534
#: What is covered by an empty file system of the harness's in every run.
_COVERED = ("/tmp", "/dev/shm")  # noqa: S108 - inside the container


@dataclass(frozen=True, kw_only=True)
class Form:
    """An image's configuration, as far as it decides what starts."""

    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    directory: str = "/"
    path: str = _DEFAULT_PATH
    volumes: Sequence[str] = ()
    profile: str = "strict"

    @property
    def start(self) -> list[str]:
        """What stands before the contract's arguments."""
        return list(self.entrypoint or self.command)

    @property
    def field(self) -> str:
        """The field that its author wrote."""
        return "ENTRYPOINT" if self.entrypoint else "CMD"


def form_of(described: Mapping[str, Any], profile: str | None = None) -> Form:
    """From what the engine says of an image; ``profile`` where it is known, else the image's label."""
    config = described.get("Config") or {}
    environment = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    labels = config.get("Labels") or {}
    return Form(entrypoint=config.get("Entrypoint") or (), command=config.get("Cmd") or (),
                directory=posixpath.join("/", config.get("WorkingDir") or "/"), path=environment.get("PATH") or _DEFAULT_PATH,
                volumes=tuple(config.get("Volumes") or ()), profile=profile or labels.get("harness.profile", "strict"))


def problems_of_form(form: Form) -> list[Problem]:
    """What the configuration alone shows; pure."""
    start, field = form.start, form.field
    if not start:
        return [Problem("ENTRYPOINT", "the image has neither an ENTRYPOINT nor a CMD, so nothing can be started.",
                        'Add one to its Dockerfile: ENTRYPOINT ["/app/main"].')]
    shown = _words(start)
    if posixpath.basename(start[0]) in _SHELLS and len(start) > 1 and re.fullmatch(r"-[a-z]*c[a-z]*", start[1]):
        if len(start) == 3 and not _HANDED_ON.search(start[2]):  # noqa: PLR2004 - shell, -c, command
            return [Problem(field, f"it is in shell form ({shown}): the shell takes the arguments, the program gets none of them.",
                            f"Write {field} as a list, one word each: {_as_list(start[2])}.")]
        return []
    left = _without_wrappers(start)
    incomplete = not left or (_INTERPRETER.fullmatch(posixpath.basename(left[0])) is not None and _script(left) is None
                              and all(_FLAGS.fullmatch(word) for word in left[1:]))
    if incomplete and form.entrypoint and form.command:
        return [Problem("CMD", f"ENTRYPOINT is {shown}, and the arguments replace the CMD {_words(form.command)} behind it (as "
                        "with `docker run IMAGE ARGUMENTS`), so the program is not started.",
                        f"Put all of it into ENTRYPOINT: {_list([*form.entrypoint, *form.command])}.")]
    if incomplete:
        return [Problem(field, f"it is {shown}, which is no program of the image's own: it would take the input directory for one.",
                        f'Name the program behind it in the Dockerfile: ENTRYPOINT {_list([*start, "/app/main.py"])}.')]
    return []


def problems(api: APIClient, reference: str, profile: str | None = None) -> list[Problem]:
    """What the configuration and the files of an image show; empty as well where the engine does not tell."""
    try:
        form = form_of(api.inspect_image(reference), profile)  # type: ignore[no-untyped-call]
        found = problems_of_form(form)
        return found or _problems_of_files(api, reference, form)
    except (*ENGINE_FAILURES, tarfile.TarError):
        return []


def said_of_a_failure(api: APIClient, reference: str, profile: str) -> str:
    """The same as evidence of a run that came to nothing; beyond it a CMD that was replaced, which need not be the reason."""
    found = problems(api, reference, profile)
    if found:
        return " ".join(f"{problem.field_or_file}: {problem.sentence} {problem.next_step}" for problem in found)
    with contextlib.suppress(*ENGINE_FAILURES):
        form = form_of(api.inspect_image(reference))  # type: ignore[no-untyped-call]
        if form.entrypoint and form.command:
            return f"The arguments replaced the image's CMD {_words(form.command)}."
    return ""


def _problems_of_files(api: APIClient, reference: str, form: Form) -> list[Problem]:
    ident = api.create_container_from_config({  # type: ignore[no-untyped-call]
        "Image": reference, "Entrypoint": ["/never-started"], "Cmd": [], "NetworkDisabled": True,
        "Labels": owner.labels_of({"builder": "1"}),
        # The engine would make a directory for each volume.
        "HostConfig": {"Tmpfs": {"/" + volume.strip("/"): "" for volume in form.volumes}}})["Id"]
    try:
        files = _Files(api, ident, form)
        for word, need in _needed(form):
            problem = files.problem(word, need)
            if problem is not None:
                return [problem]
    finally:
        with contextlib.suppress(*ENGINE_FAILURES):
            api.remove_container(ident, v=True, force=True)
    return []


def _needed(form: Form) -> Iterator[tuple[str, int]]:
    """The words of the command line that are files, and the right that each needs."""
    start = form.start
    yield start[0], stat.S_IXOTH
    left = _without_wrappers(start)
    if left and left != start:
        yield left[0], stat.S_IXOTH
    script = _script(left)
    if script is not None:
        yield posixpath.join(form.directory, script), stat.S_IROTH


def _without_wrappers(start: Sequence[str]) -> list[str]:
    left = list(start)
    while left and posixpath.basename(left[0]) in _WRAPPERS:
        left = left[1:]
        while left and (left[0].startswith("-") or "=" in left[0]):
            left = left[1:]
    return left


def _script(left: Sequence[str]) -> str | None:
    """The file behind an interpreter; None where there is none, or an option that takes an argument stands before it."""
    if not left or not _INTERPRETER.fullmatch(posixpath.basename(left[0])):
        return None
    word = next((word for word in left[1:] if not _FLAGS.fullmatch(word)), "-")
    return None if word.startswith("-") else word


@dataclass(frozen=True)
class _Node:
    mode: int
    uid: int
    gid: int
    link: str


class _Files:
    """The files of a container that was never started, as the user that programs run as sees them."""

    def __init__(self, api: APIClient, ident: str, form: Form) -> None:
        self._api, self._ident, self._form = api, ident, form
        self._user = _NOBODY if form.profile == "strict" else 0
        self._seen: dict[str, _Node | None] = {}

    def problem(self, word: str, need: int) -> Problem | None:
        """What keeps a program's user from reading a file, None where nothing does."""
        if "/" in word:
            return self._at(posixpath.join(self._form.directory, word), need)
        found = [self._at(posixpath.join("/", folder, word), need) for folder in self._form.path.split(":") if folder]
        if None in found:
            return None
        there = [problem for problem in found if problem is not None and "is not in the image" not in problem.sentence]
        return there[0] if there else Problem(self._form.field, f"the image has no program {plain(word, _SHOWN)!r} on its PATH.",
                                              "Install it in the Dockerfile, or correct the name.")

    def _at(self, path: str, need: int) -> Problem | None:
        path = posixpath.normpath(path)
        told = plain(path, _SHOWN)
        for covered in (*_COVERED, *("/" + volume.strip("/") for volume in self._form.volumes)):
            if covered != "/" and path.startswith(f"{covered}/"):
                return Problem(self._form.field, f"{told} lies below {covered}, which is empty in a run (a VOLUME, or /tmp).",
                               "Put the program elsewhere in the image, such as /app.")
        waiting, here, links = path.strip("/").split("/"), "", 0
        while waiting:
            here, last = f"{here}/{waiting.pop(0)}", not waiting
            if here not in self._seen:
                self._seen[here] = self._node(here)
            node = self._seen[here]
            if node is None:
                return Problem(self._form.field, f"{told} is not in the image.", "COPY it there, or correct the path.")
            if node.link:
                links += 1
                if links > _LINKS:
                    return None
                target = posixpath.normpath(posixpath.join("/", posixpath.dirname(here), node.link))
                here, waiting = "", [*target.strip("/").split("/"), *waiting]
                continue
            if last and stat.S_ISDIR(node.mode):
                return Problem(self._form.field, f"{told} is a directory.", "Name the program in it.")
            if not self._may(node, need if last else stat.S_IXOTH):
                return self._forbidden(told, here, node, need if last else None)
        return None

    def _forbidden(self, told: str, here: str, node: _Node, need: int | None) -> Problem:
        whose = "the user nobody (uid 65534)" if self._user else "root without capabilities"
        what = {None: "enter", stat.S_IXOTH: "execute", stat.S_IROTH: "read"}[need]
        at = plain(here, _SHOWN)
        return Problem(self._form.field, f"{told} cannot be started: programs run as {whose}, who may not {what} {at} (mode "
                       f"{stat.S_IMODE(node.mode):04o}, owner {node.uid}).",
                       f"Add to the Dockerfile: RUN chmod {'a+rx' if need != stat.S_IROTH else 'a+r'} {at}.")

    def _may(self, node: _Node, need: int) -> bool:
        # The right of others, moved to where the right of the owner or group stands. Nobody has capabilities, not even root.
        shift = 6 if node.uid == self._user else 3 if node.gid == self._user else 0
        return bool(node.mode & need << shift)

    def _node(self, path: str) -> _Node | None:
        """Type, rights and owner of a file, from the first block of its archive; the rest is not read."""
        if len(self._seen) >= _MOST_LOOKS:
            raise tarfile.TarError
        try:
            stream, _ = self._api.get_archive(self._ident, path, chunk_size=tarfile.BLOCKSIZE)
        except NotFound:
            return None
        head = b""
        for chunk in stream:
            head += chunk
            if len(head) >= tarfile.BLOCKSIZE:
                break
        info = tarfile.TarInfo.frombuf(head[:tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
        if info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            raise tarfile.TarError
        kind = stat.S_IFDIR if info.isdir() else stat.S_IFREG
        return _Node(kind | stat.S_IMODE(info.mode), info.uid, info.gid, info.linkname if info.issym() else "")


def _words(words: Sequence[str]) -> str:
    return plain(" ".join(word if word and " " not in word else repr(word) for word in words), _SHOWN)


def _list(words: Sequence[str]) -> str:
    return plain("[" + ", ".join(f'"{word}"' for word in words) + "]", _SHOWN)


def _as_list(command: str) -> str:
    """A shell's command as a list where that is plain, else an example."""
    simple = re.fullmatch(r"(?:exec )?([\w./ -]+)", command)
    return _list(simple[1].split()) if simple else '["python", "/app/main.py"]'
