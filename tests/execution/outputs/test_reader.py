import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest

from harness.execution.outputs import OutputReader, ReaderError
from harness.execution.outputs import decoder_process as process_module
from harness.formats.images import encode_png, enforce, linf
from harness.formats.result_csv import NO_LABEL, read_labels
from harness.tracks import Threat

RNG = np.random.default_rng(0)
CLEAN = RNG.integers(0, 256, (4, 10, 12, 3), np.uint8)
ADV = RNG.integers(0, 256, CLEAN.shape, np.uint8)
NAMES = [f"n{index}.png" for index in range(4)]
#: The image of each row of an array.
ROWS = np.array([2, 0, 3, 1])


@pytest.fixture
def reader():
    opened = OutputReader(workers=2)
    yield opened
    opened.close()


def write(directory, skip=()):
    for index, name in enumerate(NAMES):
        if index not in skip:
            (directory / name).write_bytes(encode_png(ADV[index]))


def test_all_produced(tmp_path, reader):
    write(tmp_path)
    (tmp_path / "extra.png").write_bytes(b"ignored")
    for names in (NAMES, [name[:-4] for name in NAMES]):
        output = reader.read_attack(tmp_path, names, CLEAN, 8)
        assert output.produced.tolist() == [True] * 4
        assert np.array_equal(output.adversarial, enforce(CLEAN, ADV, 8))
        assert np.array_equal(output.measured, linf(CLEAN, ADV))
        assert output.measured.dtype == np.int64
        assert not output.refused
        assert not output.notes


def test_absent_refused_and_resized(tmp_path, reader):
    write(tmp_path, skip=(0, 1, 2))
    (tmp_path / NAMES[1]).symlink_to(NAMES[3])
    (tmp_path / NAMES[2]).write_bytes(encode_png(ADV[2][:5]))
    (tmp_path / NAMES[3]).write_bytes(encode_png(ADV[3])[:200])
    output = reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    assert output.produced.tolist() == [False, False, True, False]
    assert np.array_equal(output.adversarial[[0, 1, 3]], CLEAN[[0, 1, 3]])
    assert output.measured.tolist()[:2] == [-1, -1]
    assert output.refused == {1: "it is a symbolic link", 3: output.refused[3]}
    assert "truncated" in output.refused[3]
    assert output.notes == ["1 images had another size and were resized."]


def test_nothing_is_kept_from_the_batch_before(tmp_path, reader):
    write(tmp_path)
    reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    (tmp_path / "empty").mkdir()
    for directory in (tmp_path / "empty", tmp_path / "absent"):
        output = reader.read_attack(directory, NAMES[:3], CLEAN[:3], 8)
        assert not output.produced.any()
        assert not output.refused
        assert np.array_equal(output.adversarial, CLEAN[:3])


def test_other_shapes_with_one_reader(tmp_path, reader):
    for height, width in ((5, 5), (300, 400), (3, 2)):
        clean = RNG.integers(0, 256, (2, height, width, 3), np.uint8)
        (tmp_path / NAMES[0]).write_bytes(encode_png(clean[1]))
        output = reader.read_attack(tmp_path, NAMES[:2], clean, 255)
        assert np.array_equal(output.adversarial[0], clean[1])


def test_several_threads(tmp_path, reader):
    directories = []
    for index in range(12):
        directories.append(tmp_path / str(index))
        directories[-1].mkdir()
        write(directories[-1], skip=(index % 4,))

    def read(index):
        output = reader.read_attack(directories[index], NAMES, CLEAN, 8)
        assert output.produced.tolist() == [place != index % 4 for place in range(4)]
        expected = enforce(CLEAN, ADV, 8)
        expected[index % 4] = CLEAN[index % 4]
        assert np.array_equal(output.adversarial, expected)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(read, range(12)))
    assert len(workers_of(os.getpid())) <= 2


def workers_of(parent):
    def command(child):
        try:
            return child.cmdline()
        except psutil.Error:
            return []  # another test's child that ended just now

    return [child for child in psutil.Process(parent).children() if "harness.execution.outputs.decoder_main" in command(child)]


#: A decoder with the faults that a bug in one would have; loaded instead of the real worker.
FAULTY = """
import ctypes, os, signal, sys
from harness.formats import images
from harness.execution.outputs import decoder_main as worker
flag = os.environ.get("TMPDIR", "") + "/flag"
dies = os.path.exists(flag)
if dies:
    os.unlink(flag)
worker.CPU_LIMIT_S = 0.2
worker.WALL_LIMIT_S = 4.0
real = images.decode
def decode(data, size):
    if data == b"crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if data == b"spin":
        while True:
            pass
    if data == b"hang":
        signal.pause()
    if data == b"memory":
        bytearray(64 << 30)
    if data == b"crash without a signal of its own":
        ctypes.string_at(0)
    if data.startswith(b"once"):
        if dies:
            os._exit(3)
        return real(data[4:], size)
    return real(data, size)
images.decode = decode
worker.main()
"""


@pytest.fixture
def faulty(monkeypatch, reader, tmp_path):
    real = subprocess.Popen

    def start(arguments, **options):
        assert arguments[1:3] == ["-m", "harness.execution.outputs.decoder_main"]
        options["env"] |= {"TMPDIR": str(tmp_path)}
        return real([sys.executable, "-c", FAULTY, *arguments[3:]], **options)

    monkeypatch.setattr(subprocess, "Popen", start)
    return reader


@pytest.mark.parametrize(("content", "place", "words"), [
    (b"crash", 0, "crashes the decoder (signal 11)"),
    (b"crash", 2, "crashes the decoder (signal 11)"),
    (b"crash", 3, "crashes the decoder (signal 11)"),
    (b"crash without a signal of its own", 1, "crashes the decoder (signal 11)"),
    (b"spin", 2, "too much CPU time"),
    (b"hang", 2, "decoding it hangs"),
])
def test_an_image_that_ends_the_decoder_costs_one_image(tmp_path, faulty, content, words, place):
    write(tmp_path)
    (tmp_path / NAMES[place]).write_bytes(content)
    output = faulty.read_attack(tmp_path, NAMES, CLEAN, 8)
    assert output.produced.tolist() == [index != place for index in range(4)]
    assert words in output.refused[place]
    others = [index for index in range(4) if index != place]
    assert np.array_equal(output.adversarial[others], enforce(CLEAN, ADV, 8)[others])


def test_all_images_end_the_decoder(tmp_path, faulty):
    for name in NAMES:
        (tmp_path / name).write_bytes(b"crash")
    output = faulty.read_attack(tmp_path, NAMES, CLEAN, 8)
    assert sorted(output.refused) == [0, 1, 2, 3]
    write(tmp_path)
    assert faulty.read_attack(tmp_path, NAMES, CLEAN, 8).produced.all()


def test_a_worker_that_dies_once_costs_nothing(tmp_path, faulty):
    write(tmp_path)
    flag = tmp_path / "flag"
    flag.touch()
    (tmp_path / NAMES[1]).write_bytes(b"once" + encode_png(ADV[1]))
    output = faulty.read_attack(tmp_path, NAMES, CLEAN, 8)
    assert not flag.exists()
    assert output.produced.all()
    assert np.array_equal(output.adversarial, enforce(CLEAN, ADV, 8))


def test_too_much_memory_is_unreadable(tmp_path, faulty):
    write(tmp_path)
    (tmp_path / NAMES[0]).write_bytes(b"memory")
    output = faulty.read_attack(tmp_path, NAMES, CLEAN, 8)
    assert output.produced.tolist() == [False, True, True, True]


def test_worker_killed_between_batches(tmp_path, reader):
    write(tmp_path)
    reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    (worker,) = workers_of(os.getpid())
    worker.kill()
    while worker.status() != psutil.STATUS_ZOMBIE:  # nobody but the reader may ask how it ended
        time.sleep(0.001)
    assert reader.read_attack(tmp_path, NAMES, CLEAN, 8).produced.all()


def test_worker_that_was_stopped_is_replaced(tmp_path, reader, monkeypatch):
    monkeypatch.setattr(process_module, "STUCK_S", 2.0)
    write(tmp_path)
    reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    (worker,) = workers_of(os.getpid())
    worker.suspend()
    assert reader.read_attack(tmp_path, NAMES, CLEAN, 8).produced.all()


def test_worker_that_cannot_start_is_the_hosts_fault(tmp_path, reader, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with pytest.raises(ReaderError):
        reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ReaderError):
        reader.read_attack(tmp_path, NAMES, CLEAN, 8)


def test_close_ends_the_workers(tmp_path):
    reader = OutputReader()
    reader.read_attack(tmp_path, NAMES, CLEAN, 8)
    (worker,) = workers_of(os.getpid())
    reader.close()
    assert not worker.is_running()
    with pytest.raises(ReaderError):
        reader.read_attack(tmp_path, NAMES, CLEAN, 8)


def test_workers_die_with_a_killed_harness(tmp_path):
    program = (
        "import sys, time, numpy as np\nfrom pathlib import Path\nfrom harness.execution.outputs import OutputReader\n"
        "reader = OutputReader()\nreader.read_attack(Path(sys.argv[1]), ['a'], np.zeros((1, 2, 2, 3), np.uint8), 4)\n"
        "print('read', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"read\n"
        (worker,) = workers_of(killed.pid)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        psutil.wait_procs([worker], timeout=20)
        assert not worker.is_running()


@pytest.mark.parametrize("rows", [None, ROWS], ids=["files", "array"])
def test_what_a_threat_allows_is_kept_and_the_rest_scaled_or_refused(tmp_path, reader, rows):
    made = CLEAN.copy()
    made[0, 2:4, 3:6] ^= 128
    made[1, 0, 0] ^= 255
    made[1, 9, 11] ^= 255
    np.save(tmp_path / "images.npy", made[ROWS])
    for name, image in zip(NAMES, made, strict=True):
        (tmp_path / name).write_bytes(encode_png(image))
    patch = reader.read_attack(tmp_path, NAMES, CLEAN, 3, threat=Threat.PATCH, rows=rows)
    assert patch.produced.tolist() == [True, False, True, True]
    assert patch.refused == {1: "its changes span 12x10 pixels, and a square of 3x3 may change"}
    assert np.array_equal(patch.adversarial, np.stack([made[0], CLEAN[1], made[2], made[3]]))
    assert patch.measured.tolist() == [3, 12, 0, 0]
    norm = reader.read_attack(tmp_path, NAMES, CLEAN, 100, threat=Threat.L2, rows=rows)
    assert norm.produced.all()
    squares = ((made.astype(np.int64) - CLEAN)**2).sum(axis=(1, 2, 3)).tolist()
    assert norm.measured.tolist() == [math.isqrt(square - 1) + 1 if square else 0 for square in squares]
    changes = norm.adversarial.astype(np.int64) - CLEAN
    assert ((changes**2).sum(axis=(1, 2, 3)) <= 100**2).all()
    assert (changes[:2] != 0).any(axis=(1, 2, 3)).all()
    anything = reader.read_attack(tmp_path, NAMES, CLEAN, 255, threat=Threat.UNRESTRICTED, rows=rows)
    assert np.array_equal(anything.adversarial, made)


def array_bytes(tmp_path, array, **options) -> bytes:
    np.save(tmp_path / "made.npy", array, **options)
    return (tmp_path / "made.npy").read_bytes()


def test_array_instead_of_files(tmp_path, reader):
    np.save(tmp_path / "images.npy", ADV[ROWS])
    output = reader.read_attack(tmp_path, NAMES, CLEAN, 8, rows=ROWS)
    assert output.produced.all()
    assert np.array_equal(output.adversarial, enforce(CLEAN, ADV, 8))
    assert np.array_equal(output.measured, linf(CLEAN, ADV))
    assert not reader.read_attack(tmp_path, NAMES, CLEAN, 8).produced.any()


def test_files_count_where_there_is_no_array(tmp_path, reader):
    write(tmp_path)
    assert reader.read_attack(tmp_path, NAMES, CLEAN, 8, rows=ROWS).produced.all()


ARRAYS = {
    "another type": lambda path: array_bytes(path, ADV.astype(np.int16)),
    "signed": lambda path: array_bytes(path, ADV.view(np.int8)),
    "another shape": lambda path: array_bytes(path, ADV[:3]),
    "another order": lambda path: array_bytes(path, np.asfortranarray(ADV)),
    "objects": lambda path: array_bytes(path, np.array([{}] * 4, object), allow_pickle=True),
    "cut short": lambda path: array_bytes(path, ADV)[:-1],
    "longer": lambda path: array_bytes(path, ADV) + b"x",
    "empty": lambda path: b"",
    "text": lambda path: b"x" * 200,
    "header is no literal": lambda path: b"\x93NUMPY\x01\x00\x04\x00f()\n" + ADV.tobytes(),
    "header is not text": lambda path: b"\x93NUMPY\x01\x00\x04\x00\xff\xfe\xfd\xfc" + ADV.tobytes(),
    "header is deep": lambda path: b"\x93NUMPY\x01\x00\xe8\x03" + b"[" * 1000 + ADV.tobytes(),
    "version 2": lambda path: b"\x93NUMPY\x02\x00" + array_bytes(path, ADV)[8:],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_refused(tmp_path, reader, name):
    (tmp_path / "images.npy").write_bytes(ARRAYS[name](tmp_path))
    output = reader.read_attack(tmp_path, NAMES, CLEAN, 8, rows=ROWS)
    assert not output.produced.any()
    assert len(output.refused) == 4
    assert np.array_equal(output.adversarial, CLEAN)


def test_defense(tmp_path, reader):
    (tmp_path / "result.csv").write_bytes(b"n0.png,3\nn1,99\nn2.png,x\n")
    output = reader.read_answers(tmp_path, "result.csv", read_labels, NAMES)
    assert output.answers.values.tolist() == [3, 99, NO_LABEL, NO_LABEL]
    assert list(output.refused) == [2]
    assert "not an integer" in output.refused[2]


@pytest.mark.parametrize(("make", "words"), [
    (lambda path: path.symlink_to("/etc/passwd"), "symbolic link"),
    (lambda path: path.mkdir(), "directory"),
    (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 30), "bytes"),
])
def test_result_that_is_refused(tmp_path, reader, make, words):
    make(tmp_path / "result.csv")
    output = reader.read_answers(tmp_path, "result.csv", read_labels, NAMES)
    assert (output.answers.values == NO_LABEL).all()
    assert sorted(output.refused) == [0, 1, 2, 3]
    assert words in output.refused[0]


def test_no_result(tmp_path, reader):
    for directory in (tmp_path, tmp_path / "absent"):
        output = reader.read_answers(directory, "result.csv", read_labels, NAMES)
        assert (output.answers.values == NO_LABEL).all()
        assert not output.refused


def plain_ppm(side):
    return b"P3\n%d %d\n255\n" % (side, side) + b"7 " * (3 * side * side)


def test_slow_images_use_up_the_batchs_processor_time(tmp_path, reader, monkeypatch):
    monkeypatch.setattr(process_module, "decoding_budget_s", lambda *_: 0.5)
    names = [f"n{index}.png" for index in range(40)]
    for name in names:
        (tmp_path / name).write_bytes(plain_ppm(600))
    output = reader.read_attack(tmp_path, names, np.zeros((40, 8, 8, 3), np.uint8), 8)
    (worker,) = workers_of(os.getpid())
    used = worker.cpu_times()
    assert used.user + used.system < 6, "40 such images take 12 s of processor time, and 0.5 s are to be had"
    assert output.produced[0], "one is read"
    assert not output.produced[-1]
    assert "CPU time for reading this batch's images" in output.refused[39]


def test_the_budget_is_of_one_batch_and_honest_images_are_far_below_it(tmp_path, reader):
    assert process_module.decoding_budget_s(100, (299, 299)) == 25
    clean = RNG.integers(0, 256, (100, 299, 299, 3), np.uint8)
    names = [f"n{index}.png" for index in range(100)]
    for name, pixels in zip(names, clean, strict=True):
        (tmp_path / name).write_bytes(encode_png(pixels))
    with reader._worker(process_module.memory_for((100, 299, 299))) as worker:
        for _ in range(2):
            shared = worker.decode(tmp_path, names, (100, 299, 299))
            assert (shared.verdicts == 2).all()
            assert 0 < float(shared.spent_s[0]) < 5
