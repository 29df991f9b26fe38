"""The real commands on a contest in which all that a stranger can choose is hostile: what they print and write is only text."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from harness.cli.main import main
from tests.e2e import make
from tests.e2e.conftest import Place
from tests.test_untrusted_text import fit

#: Without a slash, to stand in names of files, and without a NUL, to stand in arguments.
EVIL = "=\x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egpj\u202c \x9b2J <b>|`x`| \u200b\u2028 \b\rover\n1"
#: What a program may say wherever it says something; its own interpreter needs the bytes, not the characters.
SAYS = f"evil = bytes({list(EVIL.encode())!r}).decode()\nsys.stdout.write(evil * 3)\nsys.stderr.write(evil * 3)\n"
BODIES = {
    "attack-odd-names": SAYS + "for n in px.names(sys.argv[1]):\n    open(os.path.join(sys.argv[2], evil + n), 'w').write(evil)\n"
                        "    open(os.path.join(sys.argv[2], n), 'w').write(evil)\nsys.exit(3)\n",
    "defense-odd-labels": SAYS + "with open(sys.argv[2], 'w') as file:\n    for n in px.names(sys.argv[1]):\n"
                          "        file.write('\"' + evil + '\",1\\n' + n + ',\"' + evil + '\"\\n' + n + ',3;4\\n')\n",
}
#: One broken field each, as an author may write it.
METADATA = {"name": EVIL, "team": EVIL, "type": EVIL, "entry_point": EVIL, "container": EVIL, "protocol": EVIL,
            "unknown": EVIL, "baseline": EVIL}
DATA = ("leaderboard", "matrix", "status", "submissions", "show attack-odd-names", "show defense-odd-labels",
        "logs attack-odd-names", "logs defense-odd-labels", "doctor")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    found = Place(tmp_path_factory.mktemp("hostile"))
    make.tournament(found.root, ["attack-copy", "defense-mean"], rules={"batch_size": 30})
    for name, body in BODIES.items():
        folder = make.entry(found.root / "entries" / f"{EVIL} {name}", "attack-copy" if "attack" in name else "defense-mean",
                            metadata={"name": name, "team": "+1 <b>|`x`|"})
        (folder / "run").write_text(make.HEAD + make.PRELUDE + body)
    for field, value in METADATA.items():
        make.entry(found.root / "bad" / f"{EVIL} {list(METADATA).index(field)}", "attack-copy",
                   metadata={"name": "fine", EVIL if field == "unknown" else field: value})
    (found.root / "bad" / f"{EVIL}.tar.gz").write_text(EVIL)
    for label in (EVIL, f"{EVIL} 2"):
        (found.root / "classes" / label).mkdir(parents=True)
        shutil.copy(found.root / "data" / "images" / "img-000.png", found.root / "classes" / label / f"{EVIL}.png")
        (found.root / "classes" / label / EVIL).write_text("")
    return found


def said(place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code, and all that the command printed, which has to be fit for a terminal."""
    monkeypatch.chdir(place.root)
    for name, value in place.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    both = capfd.readouterr()
    assert "Traceback" not in both.err
    assert fit(both.out), both.out
    assert fit(both.err), both.err
    return int(left.value.code or 0), both.out + both.err


def test_a_contest_of_hostile_entries(place: Place, monkeypatch, capfd, tmp_path) -> None:
    code, told = said(place, monkeypatch, capfd, "run")
    assert code == 0, told
    for words in DATA:
        for style in ("table", "json", "csv", "markdown"):
            code, told = said(place, monkeypatch, capfd, *words.split(" "), "--format", style)
            assert code == 0 or words == "doctor", told
    for named in (("show", "defense-odd-labels"), ("logs", "attack-odd-names")):
        assert "red" in said(place, monkeypatch, capfd, *named)[1], "what was said is shown, and only shown"
    code, told = said(place, monkeypatch, capfd, "export", str(tmp_path / "out"))
    assert code == 0
    for path in (tmp_path / "out").rglob("*.csv"):
        assert fit(path.read_text())


@pytest.mark.parametrize("command", ["validate", "submit"])
def test_entries_that_are_refused(place: Place, command: str, monkeypatch, capfd) -> None:
    sources = sorted((place.root / "bad").iterdir())
    assert len(sources) == len(METADATA) + 1
    for source in sources:
        name = source.relative_to(place.root)
        words = [command, str(name), *(["--static"] if command == "validate" else [])]
        known = json.loads((source / "metadata.json").read_text()) if source.is_dir() else {}
        code, told = said(place, monkeypatch, capfd, *words)
        assert code == (0 if EVIL in known else 2), told


@pytest.mark.parametrize("words", [
    ("{}",), ("show", "{}"), ("logs", "{}"), ("run", "--only", "{}"), ("run", "--fresh", "{}"), ("run", "--sandbox", "{}"),
    ("run", "--gpus", "{}"), ("run", "--slots", "{}"), ("run", "--round", "{}"), ("run", "--trace", "{}/x"), ("run", "--{}"),
    ("leaderboard", "--round", "{}"), ("leaderboard", "--track", "{}"), ("leaderboard", "--scoring", "{}"),
    ("leaderboard", "--format", "{}"), ("matrix", "--track", "{}"), ("status", "--config", "{}"), ("doctor", "--config", "{}"),
    ("submissions", "--withdraw", "{}"), ("submit", "{}"), ("submit", "entries/attack-copy", "--name", "{}"),
    ("submit", "entries/attack-copy", "--team", "{}"), ("validate", "{}"), ("export", "{}/x/y"), ("dataset", "{}"),
    ("dataset", "verify", "{}"), ("dataset", "import", "{}", "--into", "made"), ("dataset", "build", "{}"),
    ("selftest", "--only", "{}", "--sandbox", "process"), ("logs", "attack-copy", "--against", "{}")], ids=" ".join)
def test_what_a_script_puts_into_a_command(place: Place, words: tuple[str, ...], monkeypatch, capfd) -> None:
    given = [word.replace("{}", EVIL) for word in words]
    code, told = said(place, monkeypatch, capfd, *given)
    assert code == 2 or words[0] in ("logs", "export") or "--trace" in words, told


def test_classes_and_files_of_a_data_set(place: Place, monkeypatch, capfd) -> None:
    code, told = said(place, monkeypatch, capfd, "dataset", "import", "classes", "--into", str(place.root / "made"), "--size", "8")
    assert code == 0, told
    assert "2 images taken, 2 files or directories left out" in told
    for path in (place.root / "made").rglob("*.png"):
        path.unlink()
    code, told = said(place, monkeypatch, capfd, "dataset", "verify", str(place.root / "made"))
    assert code == 2, told


def test_parquet_holds_what_the_tables_hold(place: Place, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    from harness.report.files.atomic import write_parquet

    write_parquet(tmp_path / "x.parquet", [{"name": [EVIL, None, "a\udcff"], "n": [1, 2, 3]}], {"name": str, "n": int})
    names = pq.read_table(tmp_path / "x.parquet").column("name").to_pylist()
    assert names[1:] == [None, "a"]
    assert fit(names[0])
