import gzip
import io
import struct
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import SubmissionError
from harness.submission import archive


def info(name, kind=tarfile.REGTYPE, target="", mode=0o644, size=0):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode, made.size = kind, target, mode, size
    return made


def tar(path, *members, mode="w:"):
    with tarfile.open(path, mode) as packed:
        for member, content in members:
            member.size = member.size or len(content)
            packed.addfile(member, io.BytesIO(content))
    return path


def zipped(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            member.compress_type = compression
            packed.writestr(member, content)
    return path


def link(name, target):
    return (info(name, tarfile.SYMTYPE, target), b"")


def plain(name, content=b"x", mode=0o644):
    return (info(name, mode=mode), content)


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_tar(tmp_path, mode):
    path = tar(
        tmp_path / "a.tar", plain("./run.sh", b"#!", 0o4755), (info("dir/sub", tarfile.DIRTYPE), b""),
        plain("dir/file", b"12"), link("dir/link", "../run.sh"), (info("hard", tarfile.LNKTYPE, "./run.sh"), b""), mode=mode)
    root = archive.unpack(path, tmp_path / "out")
    assert root == tmp_path / "out"
    assert (root / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (root / "dir/file").stat().st_mode & 0o7777 == 0o644
    assert (root / "dir/sub").is_dir()
    assert (root / "dir/link").read_bytes() == b"#!"
    assert (root / "hard").read_bytes() == b"#!"
    assert (root / "hard").stat().st_nlink == 1


def test_zip(tmp_path):
    path = zipped(
        tmp_path / "a.zip", ("run.sh", b"#!", 0o100755), ("dir/", b"", 0o40755), ("dir/file", b"12", 0),
        ("link", b"dir/file", 0o120777))
    root = archive.unpack(path, tmp_path / "out")
    assert (root / "run.sh").stat().st_mode & 0o7777 == 0o755
    assert (root / "dir/file").stat().st_mode & 0o7777 == 0o644
    assert (root / "link").read_bytes() == b"12"


@pytest.mark.parametrize(("names", "root"), [
    (["top/run.sh"], "top"),
    (["top/run.sh", "__MACOSX/._run.sh"], "top"),
    (["run.sh"], ""),
    (["one/run.sh", "two/run.sh"], ""),
    (["top/inner/run.sh"], "top"),
    (["top/run.sh", "__MACOSX"], "top"),
])
def test_root(tmp_path, names, root):
    path = zipped(tmp_path / "a.zip", *((name, b"x", 0o100644) for name in names))
    assert archive.unpack(path, tmp_path / "out") == tmp_path / "out" / root
    assert not (tmp_path / "out" / "__MACOSX").exists()


REFUSED_TAR = {
    "climbs": plain("../x"),
    "climbs inside": plain("a/../../x"),
    "absolute": plain("/tmp/x"),
    "backslash": plain("..\\x"),
    "name of 256 bytes": plain("x" * 256),
    "deep path": plain("x/" * 600 + "x"),
    "link out": link("l", "../x"),
    "absolute link": link("l", "/etc/passwd"),
    "hard link out": (info("h", tarfile.LNKTYPE, "/etc/passwd"), b""),
    "hard link to nothing": (info("h", tarfile.LNKTYPE, "later"), b""),
    "device": (info("d", tarfile.CHRTYPE), b""),
    "block device": (info("d", tarfile.BLKTYPE), b""),
    "pipe": (info("p", tarfile.FIFOTYPE), b""),
}


@pytest.mark.parametrize("name", REFUSED_TAR)
@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_refused_members(tmp_path, name, mode):
    path = tar(tmp_path / "a.tar", plain("run.sh"), REFUSED_TAR[name], mode=mode)
    with pytest.raises(SubmissionError, match="is refused"):
        archive.unpack(path, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "out").exists()
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["a.tar", "deep"]


@pytest.mark.parametrize("members", [
    pytest.param([link("l", "/"), plain("l/etc-x")], id="write through an absolute link"),
    pytest.param([link("a", "b"), link("b", ".."), plain("x")], id="link to a link out"),
    pytest.param([link("l", "sub"), (info("sub", tarfile.DIRTYPE), b""), plain("l/x")], id="write through an inner link"),
    pytest.param([plain("x"), plain("x")], id="a name twice"),
    pytest.param([link("x", "y"), plain("x")], id="a link and a file"),
    pytest.param([plain("x"), plain("x/y")], id="a file as a directory"),
    pytest.param([plain("x"), plain("./x")], id="a name twice, spelt differently"),
])
def test_refused_together(tmp_path, members):
    path = tar(tmp_path / "a.tar", *members)
    with pytest.raises(SubmissionError):
        archive.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("member", [
    pytest.param(("../x", b"x", 0o100644), id="climbs"),
    pytest.param(("/x", b"x", 0o100644), id="absolute"),
    pytest.param(("l", b"../../x", 0o120777), id="link out"),
    pytest.param(("l", b"/etc/passwd", 0o120777), id="absolute link"),
    pytest.param(("l", b"x" * 5000, 0o120777), id="long link"),
    pytest.param(("p", b"", 0o010644), id="pipe"),
    pytest.param(("d", b"", 0o020644), id="device"),
])
def test_refused_in_zip(tmp_path, member):
    path = zipped(tmp_path / "a.zip", ("run.sh", b"x", 0o100755), member)
    with pytest.raises(SubmissionError, match="is refused"):
        archive.unpack(path, tmp_path / "out")


def test_unusual_compression_and_encryption(tmp_path):
    path = zipped(tmp_path / "a.zip", ("x", b"x" * 99, 0o100644), compression=zipfile.ZIP_LZMA)
    with pytest.raises(SubmissionError, match="unusual"):
        archive.unpack(path, tmp_path / "out")
    data = bytearray(zipped(tmp_path / "b.zip", ("x", b"x", 0o100644)).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(SubmissionError, match="encrypted"):
        archive.unpack(path, tmp_path / "out")


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 1 << 20)
    monkeypatch.setattr(archive, "MAX_ENTRIES", 50)


@pytest.mark.usefixtures("small_limits")
class TestLimits:
    def refused(self, tmp_path, path, words):
        with pytest.raises(SubmissionError, match=words):
            archive.unpack(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_zip_bomb(self, tmp_path):
        self.refused(tmp_path, zipped(tmp_path / "a.zip", ("x", bytes(2 << 20), 0o100644)), "unpacks to more")

    def test_zip_bomb_that_lies(self, tmp_path):
        data = bytearray(zipped(tmp_path / "a.zip", ("x", bytes(2 << 20), 0o100644)).read_bytes())
        struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
        (tmp_path / "a.zip").write_bytes(data)
        self.refused(tmp_path, tmp_path / "a.zip", "refused|damaged")

    def test_tar_bomb(self, tmp_path):
        self.refused(tmp_path, tar(tmp_path / "a.tar.gz", plain("x", bytes(2 << 20)), mode="w:gz"), "unpacks to more")

    def test_many_small_files(self, tmp_path):
        members = [plain(f"x{index}", bytes(100 << 10)) for index in range(20)]
        self.refused(tmp_path, tar(tmp_path / "a.tar.gz", *members, mode="w:gz"), "unpacks to more")

    @pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
    def test_entries_of_a_tar(self, tmp_path, kind):
        members = [(info(f"x{index}", kind), b"") for index in range(51)]
        self.refused(tmp_path, tar(tmp_path / "a.tar", *members), "more than 50 entries")

    def test_entries_of_a_zip(self, tmp_path):
        members = [(f"x{index}", b"", 0o100644) for index in range(51)]
        self.refused(tmp_path, zipped(tmp_path / "a.zip", *members), "more than 50 entries")

    def test_hard_links_are_copies_and_count(self, tmp_path):
        members = [plain("x", bytes(1 << 19)), *((info(f"h{index}", tarfile.LNKTYPE, "x"), b"") for index in range(3))]
        self.refused(tmp_path, tar(tmp_path / "a.tar", *members), "unpacks to more")

    def test_sparse_terabyte(self, tmp_path):
        member = info("x", size=1 << 40)
        member.size = 1 << 40
        path = tmp_path / "a.tar"
        path.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        self.refused(tmp_path, path, "unpacks to more")

    def test_gnu_sparse(self, tmp_path):
        member = info("x", tarfile.GNUTYPE_SPARSE)
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
        self.refused(tmp_path, tmp_path / "a.tar", "neither a plain file")

    def test_overlong_extended_header(self, tmp_path):
        member = info("x", tarfile.XHDTYPE, size=4 << 20)
        path = tmp_path / "a.tar"
        path.write_bytes(gzip.compress(member.tobuf(tarfile.USTAR_FORMAT) + bytes(4 << 20)))
        self.refused(tmp_path, path, "header of more than a megabyte")


def test_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_FREE_BYTES", 1000)
    path = zipped(tmp_path / "a.zip", ("x", bytes(1 << 20), 0o100644))
    with pytest.raises(SubmissionError, match="unpacks to more"):
        archive.unpack(path, tmp_path / "out")


@pytest.mark.parametrize("data", [b"PK", b"PK\x03\x04", b"\x1f\x8b", gzip.compress(b"x", mtime=0), b"hello" * 1000, b""])
def test_no_archive(tmp_path, data):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SubmissionError, match="damaged, or not an archive"):
        archive.unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_any_damage_is_refused_or_unpacked(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("fuzz")
    kind = data.draw(st.sampled_from(["zip", "tar", "gz"]))
    path = place / "a"
    if kind == "zip":
        zipped(path, ("d/run.sh", b"x" * 50, 0o100755), ("l", b"d", 0o120777))
    else:
        tar(path, plain("d/run.sh", b"x" * 50), link("l", "d"), mode="w:" if kind == "tar" else "w:gz")
    whole = bytearray(path.read_bytes())
    for index, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=6)):
        whole[index] = value
    path.write_bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    try:
        archive.unpack(path, place / "out")
    except SubmissionError:
        assert not (place / "out").exists()
    assert {found.name for found in place.iterdir()} <= {"a", "out"}


OTHER_KINDS = {
    "entry.zip": (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
    "entry.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive"),
    "entry.tar.xz": (b"\xfd7zXZ\0\0", "xz"),
    "entry.tar.bz2": (b"BZh91AY&SY", "bzip2"),
    "entry.tar.zst": (b"\x28\xb5\x2f\xfd\0", "zstd"),
    "first.zip": (b"PK\x07\x08PK\x03\x04", "a part of a split zip"),
    "entry.z01": (b"\x01\x02\x03\x04", "a part of a split archive"),
    "download.zip": (b"\n<!DOCTYPE html><html>", "a web page"),
    "lfs.zip": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
    "zeros.tar": (bytes(10240), "holds nothing"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_what_is_no_archive_of_ours_is_named(tmp_path, name):
    data, words = OTHER_KINDS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SubmissionError, match=words) as refused:
        archive.unpack(tmp_path / name, tmp_path / "out")
    assert ".tar.gz" in refused.value.next_step or "Pack" in refused.value.next_step
    assert not (tmp_path / "out").exists()


def test_the_last_part_of_a_split_zip(tmp_path):
    path = zipped(tmp_path / "a.zip", ("run.sh", b"#!", 0o100755))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x05\x06") + 4] = 2
    path.write_bytes(data)
    with pytest.raises(SubmissionError, match="a part of a split zip"):
        archive.unpack(path, tmp_path / "out")
