"""The start-up hook for 2017's PyTorch entries: each call it puts back, in a fresh interpreter with the hook on PYTHONPATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("pandas")
pytest.importorskip("scipy")

pytestmark = pytest.mark.field

ROOT = Path(__file__).resolve().parents[2]
SHIM = ROOT / "docker" / "compat-torch" / "shim"
ENTRY = Path(__file__).parent / "data" / "entry2017"

# name -> program that fails where the call is not put back.
PROGRAMS = {
    "imread, imsave: uint8 as it is": """
        import numpy as np; from scipy.misc import imread, imsave
        a = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
        imsave("a.png", a); assert (imread("a.png") == a).all()
        assert imread("a.png", flatten=True).dtype == np.float32 and imread("a.png", mode="L").shape == (5, 7)
    """,
    "imsave: byte scaling of floats": """
        import numpy as np, scipy.misc
        a = np.zeros((2, 2, 3)); a[0, 0] = -1.0; a[1, 1] = 3.0
        scipy.misc.imsave("a.png", a)
        b = scipy.misc.imread("a.png"); assert b[0, 0, 0] == 0 and b[1, 1, 0] == 255 and b[0, 1, 0] == 64, b
        scipy.misc.toimage(np.full((2, 2), 7.0)).save("c.png"); assert (scipy.misc.imread("c.png") == 0).all()
        scipy.misc.toimage(np.full((2, 2), 0.5), cmin=0.0, cmax=1.0).save("d.png")
        assert (scipy.misc.imread("d.png") == 128).all()
    """,
    "toimage: colour axis first": """
        import numpy as np; from scipy.misc import toimage
        assert toimage(np.zeros((3, 5, 7), np.uint8)).size == (7, 5)
    """,
    "imresize: percentage, fraction, (height, width)": """
        import numpy as np; from scipy.misc import imresize
        a = np.zeros((10, 20, 3), np.uint8)
        assert imresize(a, 50).shape == (5, 10, 3) and imresize(a, 0.5).shape == (5, 10, 3)
        assert imresize(a, (7, 9), interp="nearest").shape == (7, 9, 3) and imresize(a[..., 0], (7, 9)).shape == (7, 9)
        assert imresize(np.array([[0.0, 0.5], [0.5, 1.0]]), (2, 2), "bicubic").max() == 255
    """,
    "scipy.misc after a bare import scipy": "import scipy; scipy.misc.imread; scipy.optimize",
    "Scale, RandomSizedCrop": """
        from torchvision import transforms; from PIL import Image
        t = transforms.Compose([transforms.Scale(16), transforms.CenterCrop(16), transforms.ToTensor()])
        assert t(Image.new("RGB", (40, 30))).shape == (3, 16, 16); transforms.RandomSizedCrop(8)
    """,
    "zero_gradients, by both its names": """
        import torch; from torch.autograd.gradcheck import zero_gradients
        x = torch.ones(3, requires_grad=True); (x * x).sum().backward(); assert x.grad.sum() == 6
        zero_gradients(x); assert x.grad.sum() == 0
        (x * x).sum().backward(); torch.autograd.gradcheck.zero_gradients([x]); assert x.grad.sum() == 0
        zero_gradients(torch.ones(1))
        from torch.autograd import gradcheck
        assert gradcheck(lambda y: y * y, torch.ones(2, dtype=torch.double, requires_grad=True))
    """,
    "Variable, volatile": """
        import torch; from torch.autograd import Variable
        x = torch.ones(2)
        assert not (Variable(x, volatile=True) * 2).requires_grad and (Variable(x, requires_grad=True) * 2).requires_grad
        assert isinstance(x, Variable) and torch.equal(Variable(x), x)
    """,
    "a scalar's first element": """
        import torch
        assert torch.ones(3).sum().data[0] == 3.0 and torch.ones(3)[0] == 1
        try: torch.ones(3)[5]
        except IndexError: pass
        else: raise SystemExit("an index beyond the end passed")
        try: torch.tensor(1.0)[1]
        except IndexError: pass
        else: raise SystemExit("a scalar's second element passed")
    """,
    "functional leftovers": """
        import torch, torch.nn.functional as F
        x = torch.ones(1, 1, 2, 2)
        F.sigmoid(x); F.tanh(x); F.softmax(x.view(1, 4)); F.log_softmax(x.view(1, 4))
        assert F.upsample(x, scale_factor=2, mode="bilinear").shape == (1, 1, 4, 4)
    """,
    "cuda() of tensors and modules": """
        import torch
        gpu = torch.cuda.is_available(); x = torch.ones(2).cuda(); m = torch.nn.Linear(2, 1).cuda()
        assert x.is_cuda == gpu and next(m.parameters()).is_cuda == gpu and m(x).shape == (1,)
        x.cuda(0, non_blocking=True); torch.nn.DataParallel(m).cuda()(x.view(1, 2))
    """,
    "cuda tensor types": """
        import torch
        gpu = torch.cuda.is_available()
        assert torch.ones(2).type(torch.cuda.LongTensor).dtype == torch.int64
        assert torch.ones(2).type("torch.cuda.DoubleTensor").is_cuda == gpu and torch.cuda.FloatTensor([1.0]).is_cuda == gpu
        assert torch.ones(2).type(torch.LongTensor).dtype == torch.int64 and torch.ones(2).type() == "torch.FloatTensor"
        torch.cuda.manual_seed_all(1); torch.cuda.synchronize(); torch.cuda.set_device(0)
    """,
    "torch.load of a whole pickled model": """
        import torch
        torch.save(torch.nn.Linear(2, 1), "m.pth"); assert torch.load("m.pth")(torch.ones(2)).shape == (1,)
        torch.save({"w": torch.ones(1)}, "s.pth"); torch.load("s.pth", map_location=lambda storage, place: storage)
    """,
    "numpy and Pillow aliases": """
        import numpy as np; from PIL import Image
        assert np.zeros(2, np.float).dtype == np.float64 and np.int is int and np.bool
        Image.new("RGB", (4, 4)).resize((2, 2), Image.ANTIALIAS)
    """,
    "the rest stays as it was": """
        import importlib.util, inspect, pickle, torch, scipy.stats
        assert importlib.util.find_spec("scipy").origin.endswith("__init__.py")
        assert "def compile" in inspect.getsource(torch) and pickle.loads(pickle.dumps(torch.ones(1))) == 1
        assert torch.cuda.is_available() == (torch.cuda.device_count() > 0)
        try: import scipy.no_such_module
        except ModuleNotFoundError: pass
    """,
}

LAZY = """
    import sys, json, csv, subprocess
    heavy = {"torch", "torchvision", "scipy", "numpy", "PIL", "pandas"} & set(sys.modules)
    assert "compat2017" in sys.modules and not heavy, heavy
"""


def in_shim(tmp_path: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PYTHONPATH": str(SHIM), "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)


RUN_ALL = """
import json, sys, traceback, warnings
warnings.simplefilter("ignore")
failures = {}
for name, source in json.load(open("programs.json")).items():
    try:
        exec(source, {"__name__": "__main__"})
    except BaseException:
        failures[name] = traceback.format_exc()
json.dump(failures, open("failures.json", "w"))
"""


def without_indent(source: str) -> str:
    return textwrap.dedent(source).strip() + "\n"


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run every program in one interpreter: importing torch takes seconds."""
    place = tmp_path_factory.mktemp("programs")
    programs = {name: without_indent(source) for name, source in PROGRAMS.items()}
    (place / "programs.json").write_text(json.dumps(programs))
    done = in_shim(place, [sys.executable, "-c", RUN_ALL])
    assert done.returncode == 0, done.stderr
    return json.loads((place / "failures.json").read_text())


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_call_is_put_back(name: str, failures: dict[str, str]) -> None:
    assert name not in failures, failures[name]


def test_a_program_that_imports_nothing_pays_nothing(tmp_path: Path) -> None:
    done = in_shim(tmp_path, [sys.executable, "-c", without_indent(LAZY)])
    assert done.returncode == 0, done.stderr


def laid_out(tmp_path: Path) -> tuple[Path, Path, Path, np.ndarray]:
    """Return a copy of the entry, an input directory of three images, an empty output directory, and the images."""
    code, given, made = tmp_path / "code", tmp_path / "in", tmp_path / "out"
    shutil.copytree(ENTRY, code)
    given.mkdir()
    made.mkdir()
    clean = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for index, pixels in enumerate(clean):
        Image.fromarray(pixels).save(given / f"{index}.png")
    (given / "target_class.csv").write_text("0.png,3\n1.png,4\n2.png,5\n")
    return code, given, made, clean


def assert_attacked(made: Path, clean: np.ndarray, epsilon: int) -> None:
    adversarial = np.stack([np.asarray(Image.open(made / f"{index}.png")) for index in range(len(clean))])
    distance = np.abs(adversarial.astype(int) - clean).max(axis=(1, 2, 3))
    assert (distance > 0).all()
    assert (distance <= epsilon).all()


def test_a_2017_entry_runs_unchanged(tmp_path: Path) -> None:
    code, given, made, clean = laid_out(tmp_path)
    done = in_shim(code, ["./run_attack.sh", str(given), str(made), "16"])
    assert done.returncode == 0, done.stderr
    assert_attacked(made, clean, 16)


@pytest.mark.docker
def test_a_2017_entry_runs_in_the_image(tmp_path: Path) -> None:
    """Without a network, as root, its code at /code."""
    image = "localhost/harness-compat-torch:1"
    subprocess.run([sys.executable, str(ROOT / "docker" / "build.py"), "compat-torch"], check=True)
    code, given, made, clean = laid_out(tmp_path)
    mounts = [f"--volume={code}:/code", f"--volume={given}:/input_images:ro", f"--volume={made}:/output_images"]
    command = ["docker", "run", "--rm", "--network=none", "--workdir=/code", *mounts, image]
    done = subprocess.run(
        [*command, "./run_attack.sh", "/input_images", "/output_images", "16"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_attacked(made, clean, 16)
