import json
import os
import shutil
import socket
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ImageUnavailableError, SubmissionError
from harness.submission import archive, code_tree
from harness.submission import load as submission
from harness.submission.load import ImageInfo
from harness.submission.metadata import misspelt, read_metadata

METADATA = {"type": "attack", "container": "localhost/harness-light:1", "entry_point": "run.sh"}
INFO = ImageInfo("sha256:" + "ab" * 32, {"harness.type": "defense", "harness.protocol": "serve"}, "amd64")


def write_entry(root: Path, **fields) -> Path:
    root.mkdir(parents=True)
    values = {key: value for key, value in {**METADATA, **fields}.items() if value is not None}
    (root / "metadata.json").write_text(json.dumps(values))
    (root / "run.sh").write_text("#!/bin/bash\n")
    (root / "run.sh").chmod(0o755)
    (root / "lib").mkdir()
    (root / "lib" / "weights.bin").write_bytes(b"\0" * 1000)
    return root


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def test_directory(tmp_path):
    loaded = submission.load(write_entry(tmp_path / "noise", team="A team", baseline=True, unknown={"x": 1}))
    assert (loaded.name, loaded.type, loaded.team, loaded.baseline) == ("noise", "attack", "A team", True)
    assert (loaded.kind, loaded.profile, loaded.serves, loaded.entry_point) == ("directory", "legacy", False, "run.sh")
    assert loaded.container == METADATA["container"]
    assert loaded.code_dir == tmp_path / "noise"


def test_what_the_person_says_wins(tmp_path):
    entry = write_entry(tmp_path / "noise", name="inner", protocol="serve", profile="strict")
    loaded = submission.load(entry, name="other", team="B", baseline=True)
    assert (loaded.name, loaded.team, loaded.baseline, loaded.serves, loaded.profile) == ("other", "B", True, True, "strict")
    assert submission.load(entry).name == "inner"


def test_digest_is_of_content_alone(tmp_path):
    entry = write_entry(tmp_path / "one")
    first = submission.load(entry).digest
    assert submission.load(write_entry(tmp_path / "two")).digest == first
    (entry / "helper.py").write_text("")
    first = submission.load(entry).digest
    (entry / "__pycache__").mkdir()
    (entry / "__pycache__" / "helper.cpython-311.pyc").write_bytes(b"x")
    (entry / "helper.pyc").write_bytes(b"x")
    os.utime(entry / "run.sh", (1, 1))
    assert submission.load(entry).digest == first
    (entry / "lib" / "weights.bin").write_bytes(b"\1" * 1000)
    assert submission.load(entry).digest != first


@pytest.mark.parametrize("change", [
    pytest.param(lambda root: (root / "run.sh").chmod(0o644), id="exec bit"),
    pytest.param(lambda root: (root / "run.sh").rename(root / "run2.sh"), id="name"),
    pytest.param(lambda root: (root / "empty").mkdir(), id="empty directory"),
    pytest.param(lambda root: (root / "link").symlink_to("run.sh"), id="link"),
])
def test_digest_notices(tmp_path, change):
    entry = write_entry(tmp_path / "one")
    first = code_tree.digest(entry)
    change(entry)
    assert code_tree.digest(entry) != first


@pytest.mark.parametrize("make", [
    pytest.param(lambda root: (root / "link").symlink_to("/etc/passwd"), id="absolute link"),
    pytest.param(lambda root: (root / "lib" / "link").symlink_to("../../x"), id="link out"),
    pytest.param(lambda root: ((root / "up").symlink_to("lib"), (root / "l").symlink_to("up/../../x")), id="through a link"),
    pytest.param(lambda root: os.mkfifo(root / "pipe"), id="pipe"),
    pytest.param(lambda root: as_pipe(root / "metadata.json"), id="metadata a pipe"),
    pytest.param(lambda root: (root / ".wh.run.sh").touch(), id="whiteout"),
    pytest.param(lambda root: (root / "lib" / ".wh..wh..opq").touch(), id="opaque whiteout"),
    pytest.param(lambda root: (root / "/".join("d" * 101)).mkdir(parents=True), id="nested"),
    pytest.param(lambda root: socket.socket(socket.AF_UNIX).bind(str(root / "s")), id="socket"),
    pytest.param(lambda root: as_link(root / "metadata.json", "/dev/zero"), id="metadata a device"),
    pytest.param(lambda root: as_link(root / "metadata.json", "metadata.json"), id="metadata a link in a circle"),
])
def test_content_that_is_refused(tmp_path, make):
    entry = write_entry(tmp_path / "one")
    make(entry)
    with pytest.raises(SubmissionError):
        submission.load(entry)


#: What lies in a directory of code, and what of it counts beside run.sh and the rest.
COMPILED = {
    "beside its source": (["x.py", "x.pyc", "__pycache__/x.cpython-311.pyc", "__pycache__/x.cpython-39.opt-1.pyc"], ["x.py"]),
    "alone": (["main.pyc"], ["main.pyc"]),
    "in a cache alone": (["__pycache__/main.cpython-311.pyc"], ["__pycache__/main.cpython-311.pyc"]),
    "in a cache below": (["a/x.py", "a/__pycache__/x.cpython-311.pyc", "a/__pycache__/y.cpython-311.pyc"],
                         ["a/__pycache__/y.cpython-311.pyc", "a/x.py"]),
    "of another's source": (["x.py", "y.pyc", "a/x.pyc"], ["a/x.pyc", "x.py", "y.pyc"]),
    "of a directory called source": (["x.py/z", "x.pyc"], ["x.py/z", "x.pyc"]),
    "something else in a cache": (["x.py", "__pycache__/x.pyc", "__pycache__/data"],
                                  ["__pycache__/data", "__pycache__/x.pyc", "x.py"]),
    "a version of git": ([".git/config", "a/.git"], ["a"]),
}


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_left_out_is_no_code(tmp_path, name):
    files, counted = COMPILED[name]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    tree = code_tree.survey(tmp_path)
    assert [node.path for node in tree.nodes] == counted
    # A directory that holds nothing else counts as an empty one.
    assert sum(tree.left_out.values()) == len(files) - len([path for path in counted if path in files])


def test_a_changed_compiled_program_is_another_content(tmp_path):
    entry = write_entry(tmp_path / "one")
    (entry / "main.pyc").write_bytes(b"1")
    first = submission.load(entry)
    (entry / "main.pyc").write_bytes(b"2")
    assert submission.load(entry).digest != first.digest
    frozen = submission.freeze(submission.load(entry), tmp_path / "state")
    assert (frozen.code_dir / "main.pyc").read_bytes() == b"2"


def test_freeze_copies_and_pins(tmp_path):
    entry = write_entry(tmp_path / "one")
    (entry / "inner").symlink_to("lib/weights.bin")
    (entry / "lib" / "empty").mkdir()
    loaded = submission.load(entry)
    frozen = submission.freeze(loaded, tmp_path / "state")
    assert frozen.code_dir == tmp_path / "state" / loaded.digest
    assert code_tree.digest(frozen.code_dir) == loaded.digest
    assert (frozen.code_dir / "inner").is_symlink()
    assert (frozen.code_dir / "run.sh").stat().st_mode & 0o777 == 0o555
    assert submission.freeze(loaded, tmp_path / "state") == frozen
    assert [kept.name for kept in (tmp_path / "state").iterdir()] == [loaded.digest]


def test_freeze_repairs_a_damaged_copy(tmp_path):
    loaded = submission.load(write_entry(tmp_path / "one"))
    frozen = submission.freeze(loaded, tmp_path / "state")
    (frozen.code_dir / "run.sh").unlink()
    submission.freeze(loaded, tmp_path / "state")
    assert code_tree.digest(frozen.code_dir) == loaded.digest


def test_of_a_file_that_an_earlier_copy_holds_the_new_one_is_another_name(tmp_path):
    """Equal in content, place and exec bit; what is written over one source, or one copy's name, changes no other."""
    entry, state = write_entry(tmp_path / "one"), tmp_path / "state"
    (entry / "lib" / "weights.bin").write_bytes(b"w" * (3 << 20))
    first = submission.freeze(submission.load(entry), state).code_dir
    (entry / "metadata.json").write_text((entry / "metadata.json").read_text() + "\n")
    second = submission.freeze(submission.load(entry), state).code_dir
    (entry / "lib" / "weights.bin").write_bytes(b"w" * (3 << 20) + b"x")
    (entry / "run.sh").chmod(0o644)
    third = submission.freeze(submission.load(entry), state).code_dir
    for path, links in (("lib/weights.bin", [2, 2, 1]), ("run.sh", [2, 2, 1]), ("metadata.json", [1, 1, 1])):
        assert [(each / path).lstat().st_nlink for each in (first, second, third)] == links
        assert all((each / path).lstat().st_mode & 0o222 == 0 for each in (first, second, third))
    for each in (first, second, third):
        assert code_tree.digest(each) == each.name
    shutil.rmtree(first)
    assert code_tree.digest(second) == second.name


@pytest.mark.parametrize("change", ["writable", "other bytes", "a link", "executable"])
def test_a_copy_that_is_not_as_it_was_made_is_no_other_name(tmp_path, change):
    entry, state = write_entry(tmp_path / "one"), tmp_path / "state"
    (entry / "lib" / "weights.bin").write_bytes(b"w" * (1 << 20))
    first = submission.freeze(submission.load(entry), state).code_dir / "lib" / "weights.bin"
    first.chmod({"writable": 0o644, "executable": 0o555}.get(change, 0o444))
    if change == "a link":
        first.rename(tmp_path / "elsewhere")
        first.symlink_to(tmp_path / "elsewhere")
    elif change == "other bytes":
        first.chmod(0o644)
        first.write_bytes(b"v" * (1 << 20))
        first.chmod(0o444)
    (entry / "metadata.json").write_text((entry / "metadata.json").read_text() + "\n")
    second = submission.freeze(submission.load(entry), state).code_dir
    assert code_tree.digest(second) == second.name
    assert (second / "lib" / "weights.bin").lstat().st_nlink == 1


def test_freeze_refuses_code_that_changed(tmp_path):
    loaded = submission.load(write_entry(tmp_path / "one"))
    (tmp_path / "one" / "run.sh").write_text("#!/bin/bash\nexit 1\n")
    with pytest.raises(SubmissionError, match="changed"):
        submission.freeze(loaded, tmp_path / "state")
    assert not list((tmp_path / "state").iterdir())


@pytest.mark.parametrize("form", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize("inside", ["", "noise/"])
def test_archive_is_the_same_submission(tmp_path, form, inside):
    entry = write_entry(tmp_path / "noise")
    path = tmp_path / f"packed{form}"
    pack(entry, path, inside)
    loaded = submission.load(path)
    assert loaded.kind == "archive"
    assert loaded.name == "packed"
    assert loaded.digest == submission.load(entry).digest


def pack(entry: Path, path: Path, inside: str) -> None:
    files = [file for file in sorted(entry.rglob("*")) if file.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("__MACOSX/._x", b"x")
            for file in files:
                packed.write(file, inside + str(file.relative_to(entry)))
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w:") as packed:
        for file in files:
            packed.add(file, inside + str(file.relative_to(entry)))


def test_image():
    loaded = submission.load("registry.example/team/robust:2", image_info=lambda reference: INFO)
    assert (loaded.name, loaded.type, loaded.kind, loaded.profile) == ("robust", "defense", "image", "strict")
    assert (loaded.container, loaded.code_dir, loaded.entry_point, loaded.serves) == (INFO.id, None, None, True)
    as_attack = submission.load("robust:2", type="attack", image_info=lambda reference: INFO)
    assert as_attack.digest != loaded.digest
    assert submission.freeze(loaded, Path("/nowhere")) is loaded


@pytest.mark.parametrize(("source", "look_up", "words"), [
    ("./absent", lambda reference: INFO, "is not there"),
    ("absent.zip", lambda reference: INFO, "is not there"),
    ("absent", None, "no Docker engine"),
    ("plain", lambda reference: ImageInfo(INFO.id, {}, "amd64"), "has no `harness.type` label"),
    ("", lambda reference: INFO, "is not there"),
])
def test_sources_that_are_refused(source, look_up, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if source == "":
        source = " "
    with pytest.raises(SubmissionError, match=words):
        submission.load(source, image_info=look_up)


def test_all_problems_at_once(tmp_path):
    entry = write_entry(tmp_path / "one", type="atack", container=None, entry_point="../run.sh", protocol="x", name="a b")
    with pytest.raises(SubmissionError) as caught:
        submission.load(entry, name=None)
    for word in ("type:", "container:", "entry_point:", "protocol:", "name:"):
        assert word in caught.value.problem


def test_what_an_attack_may_change(tmp_path):
    assert submission.load(write_entry(tmp_path / "plain")).threat == "linf"
    assert submission.load(write_entry(tmp_path / "one", threat="l2")).threat == "l2"
    labels = [{"harness.type": "attack", **more} for more in ({}, {"harness.threat": "linf"}, {"harness.threat": "patch"})]
    images = [submission.load("i:1", image_info=lambda reference, said=said: ImageInfo(INFO.id, said, "amd64")) for said in labels]  # type: ignore[misc]
    assert [image.threat for image in images] == ["linf", "linf", "patch"]
    assert images[0].digest == images[1].digest != images[2].digest


@pytest.mark.parametrize(("fields", "words"), [
    ({"threat": "L2"}, "threat: 'L2' is not one of linf, l2, patch, unrestricted"),
    ({"threat": ""}, "threat: '' is not one of"),
    ({"threat": ["l2"]}, "threat: an array is not one of"),
    ({"threat": 2}, "threat: 2 is not one of"),
    ({"type": "defense", "threat": "l2"}, "threat: a defense changes no image"),
])
def test_threats_that_are_refused(tmp_path, fields, words):
    with pytest.raises(SubmissionError) as caught:
        submission.load(write_entry(tmp_path / "one", **fields))
    assert words in caught.value.problem


def test_what_an_attack_may_know(tmp_path):
    assert submission.load(write_entry(tmp_path / "plain")).access == "black_box"
    assert submission.load(write_entry(tmp_path / "one", access="white_box")).access == "white_box"
    assert submission.load(write_entry(tmp_path / "two", access="query", protocol="serve")).access == "query"
    labels = [{"harness.type": "attack", "harness.protocol": "serve", **more}
              for more in ({}, {"harness.access": "black_box"}, {"harness.access": "query"}, {"harness.access": "grey_box"})]
    images = [submission.load("i:1", image_info=lambda reference, said=said: ImageInfo(INFO.id, said, "amd64"))  # type: ignore[misc]
              for said in labels]
    assert [image.access for image in images] == ["black_box", "black_box", "query", "grey_box"]
    assert len({image.digest for image in images}) == 3


@pytest.mark.parametrize(("fields", "words"), [
    ({"access": "White_box"}, "access: 'White_box' is not one of black_box, grey_box, white_box, query"),
    ({"access": ""}, "access: '' is not one of"),
    ({"access": ["query"]}, "access: an array is not one of"),
    ({"access": "query"}, "access: a query attack has to be a served program, to ask during its work"),
    ({"type": "defense", "access": "white_box"}, "access: a defense attacks nobody"),
    ({"base": "lib"}, "base: only a defense has one"),
    ({"type": "detector", "base": "lib"}, "base: only a defense has one"),
    ({"type": "defense", "base": "."}, "base: '.' is not in the submission"),
    ({"type": "defense", "base": "../lib"}, "base: '../lib' is not in the submission"),
    ({"type": "defense", "base": "/lib"}, "base: '/lib' is not in the submission"),
    ({"type": "defense", "base": ["lib"]}, "base: an array is not the path of a directory"),
    ({"type": "defense", "base": "nothing"}, "base: there is no directory nothing in it"),
    ({"type": "defense", "base": "run.sh"}, "base: there is no directory run.sh in it"),
])
def test_access_that_is_refused(tmp_path, fields, words):
    with pytest.raises(SubmissionError) as caught:
        submission.load(write_entry(tmp_path / "one", **fields))
    assert words in caught.value.problem


OPEN = [
    ({}, (), ()), ({"protocol": "serve"}, (), ("query",)), ({}, ("whitebox.py",), ("white_box",)),
    ({"base": "lib"}, ("lib/whitebox.py",), ("grey_box",)), ({}, ("lib/whitebox.py",), ()),
    ({"base": "lib"}, ("whitebox.py",), ("white_box",)), ({"base": "./lib/"}, ("lib/whitebox.py",), ("grey_box",)),
    ({"base": "lib", "protocol": "serve"}, ("whitebox.py", "lib/whitebox.py"), ("grey_box", "white_box", "query")),
    ({"type": "detector", "protocol": "serve"}, ("whitebox.py",), ()),
    ({"type": "attack", "protocol": "serve"}, ("whitebox.py",), ()),
]


@pytest.mark.parametrize(("fields", "files", "opens"), OPEN)
def test_which_duels_a_defense_is_open_to(tmp_path, fields, files, opens):
    root = write_entry(tmp_path / "one", **{"type": "defense"} | fields)
    for file in files:
        (root / file).write_text("")
    assert submission.load(root).open_to == opens


def test_a_link_gives_nothing_to_read(tmp_path):
    root = write_entry(tmp_path / "one", type="defense", base="lib")
    (root / "target.py").write_text("")
    (root / "whitebox.py").symlink_to("target.py")
    (root / "lib" / "whitebox.py").symlink_to("../target.py")
    assert submission.load(root).open_to == ()


def test_which_duels_an_image_is_open_to():
    assert submission.load("i:1", image_info=lambda reference: INFO).open_to == ("query",)
    attack = ImageInfo(INFO.id, {"harness.type": "attack", "harness.protocol": "serve"}, "amd64")
    assert submission.load("i:1", image_info=lambda reference: attack).open_to == ()


@pytest.mark.parametrize("arguments", [{"name": "../x"}, {"name": "clean"}, {"type": "x"}, {"team": "a\nb"}])
def test_bad_arguments(tmp_path, arguments):
    with pytest.raises(SubmissionError):
        submission.load(write_entry(tmp_path / "one"), **arguments)


def test_type_that_contradicts(tmp_path):
    with pytest.raises(SubmissionError, match="--type says defense"):
        submission.load(write_entry(tmp_path / "one"), type="defense")


def test_no_metadata(tmp_path):
    with pytest.raises(SubmissionError, match=r"metadata\.json"):
        submission.load(tmp_path)


def test_directories_nested_beyond_what_python_can_walk(tmp_path):
    entry = write_entry(tmp_path / "one")
    place = os.open(entry, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("n", dir_fd=place)
        above, place = place, os.open("n", os.O_RDONLY, dir_fd=place)
        os.close(above)
    os.close(place)
    try:
        with pytest.raises(SubmissionError, match="too deeply"):
            submission.load(entry)
    finally:
        subprocess.run(["rm", "-rf", str(entry)], check=True)


@pytest.mark.parametrize("name", [b"a\nb", b"\xff\xfe", b"n" * 255, b"\x1b[2J", "\u202e".encode()])
def test_odd_names_are_content_and_are_shown_on_one_line(tmp_path, name):
    entry = write_entry(tmp_path / "one")
    (entry / os.fsdecode(name)).write_text("x")
    loaded = submission.load(entry)
    frozen = submission.freeze(loaded, tmp_path / "state")
    assert name in os.listdir(os.fsencode(frozen.code_dir))
    os.mkfifo(entry / os.fsdecode(b"p" + name[1:]))
    with pytest.raises(SubmissionError, match="neither a file") as refused:
        submission.load(entry)
    assert refused.value.problem.isprintable()
    assert len(refused.value.problem) < 1200


def test_more_files_than_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(code_tree, "MAX_ENTRIES", 100)
    entry = write_entry(tmp_path / "one")
    (entry / ".git").mkdir()
    for number in range(100):
        (entry / f"{number}.pyc").touch()
    with pytest.raises(SubmissionError, match="more than 100 files"):
        submission.load(entry)


def test_a_source_that_is_neither_file_nor_directory(tmp_path):
    os.mkfifo(tmp_path / "entry.zip")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("entry.zip", "loop"):
        with pytest.raises(SubmissionError):
            submission.load(tmp_path / name)
    with pytest.raises(SubmissionError, match="neither a directory nor a file"):
        submission.load("/dev/zero")
    for source in ("x" * 5000, "./" + "y" * 300, "\0"):
        with pytest.raises(SubmissionError):
            submission.load(source)


def test_a_mistyped_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_entry(tmp_path / "my_attack")

    def absent(reference):
        raise ImageUnavailableError(f"The Docker image {reference} is not on this host.", "Build it.")

    for source, look_up in (("./my_atack", None), ("my_atack", None), ("my_atack", absent), ("my-attack", absent)):
        with pytest.raises(SubmissionError, match="my_attack"):
            submission.load(source, image_info=look_up)
    with pytest.raises(ImageUnavailableError, match="not on this host"):
        submission.load("python:3.11", image_info=absent)


@pytest.mark.parametrize("data", [
    b'{"type": "attack", "type": "defense", "container": "x", "entry_point": "r"}',
    b'{"type": NaN, "container": "x", "entry_point": "r"}', b'{"type": 1e999, "container": "x", "entry_point": "r"}',
    b'{"type": ' + b"[" * 900 + b"]" * 900 + b', "container": "x", "entry_point": "r"}',
    b'{"type": "attack", "container": "x", "entry_point": "' + b"x" * 300 + b'"}',
    b'{"type": "attack", "container": "x", "entry_point": "r", "name": "Clean"}',
    b'{"type": "attack", "container": "x", "entry_point": "r", "team": "  "}',
    b"", b"[]", b"{", b"\xff\xfe\x00", b"[" * 100_000,
    b'{"a": ' + b"9" * 5000 + b"}", b" " * 2_000_000,
])
def test_malformed_metadata(data):
    metadata, problems = read_metadata(data)
    assert metadata is None
    assert problems


#: A busy host is no fault of the code.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)
field_names = st.sampled_from(
    ["type", "container", "container_gpu", "entry_point", "name", "team", "profile", "protocol", "baseline", "other"])


@given(st.dictionaries(field_names, json_values | st.sampled_from(["attack", "run.sh", "serve", "strict"])))
def test_any_object_gives_metadata_or_problems(fields):
    metadata, problems = read_metadata(json.dumps(fields).encode())
    assert (metadata is None) == bool(problems)


@given(st.binary(max_size=200))
def test_any_bytes_give_metadata_or_problems(data):
    metadata, problems = read_metadata(data)
    assert (metadata is None) == bool(problems)


def test_archive_names():
    assert archive.bare_name(Path("a/b.tar.gz")) == "b"
    assert archive.bare_name(Path("b.v2.zip")) == "b.v2"


@pytest.mark.parametrize(("fields", "found"), [
    ({"acess": "white_box"}, {"acess": "access"}),
    ({"Threat": "l2"}, {"Threat": "threat"}),
    ({"container-gpu": "x", "entrypoint": "y"}, {"container-gpu": "container_gpu"}),
    ({"entry_point": "y", "entry_points": "y"}, {}),
    ({"author": "me", "licence": "MIT", "serves": True, "year": 2017}, {}),
    ({"b" * 5000: 1, "": 2, "acc\u202ess": 3}, {"acc\u202ess": "access"}),
])
def test_fields_that_nobody_reads_and_somebody_meant(fields, found) -> None:
    assert misspelt(json.dumps({"type": "attack", "entry_point": "run", **fields}).encode()) == found


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a": {"b": []}}'])
def test_metadata_that_are_no_object_have_no_fields(data) -> None:
    assert misspelt(data) == {}
