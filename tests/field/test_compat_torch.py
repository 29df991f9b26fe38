"""The start-up hook for 2017's PyTorch entries: each call it puts back, in a fresh interpreter with the hook on PYTHONPATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

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

DENSENET_KEYS = """
    import torch, torch.nn as nn; from collections import OrderedDict
    def net(dot):
        layer = nn.Sequential(OrderedDict([("norm" + dot + "1", nn.BatchNorm2d(1)), ("conv" + dot + "1", nn.Conv2d(1, 1, 1))]))
        return nn.Sequential(OrderedDict([("denseblock1", nn.Sequential(OrderedDict([("denselayer1", layer)])))]))
    old, new = net("."), net("")
    for one, other in ((old, new), (new, old), (old, old), (new, new)):
        one.denseblock1[0][1].weight.data.fill_(5.0 + (one is old)); one.denseblock1[0][1].bias.data.normal_()
        other.load_state_dict(one.state_dict())
        assert torch.equal(other.denseblock1[0][1].weight, one.denseblock1[0][1].weight)
    try: net("").load_state_dict({"denseblock1.denselayer1.norm3.weight": torch.ones(1)})
    except RuntimeError: pass
    else: raise SystemExit("an unknown key passed")
"""

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
        assert np.float_ is np.float64 and np.Inf > 0 and np.product([2, 3]) == 6 and np.asscalar(np.ones(1)) == 1
        Image.new("RGB", (4, 4)).resize((2, 2), Image.ANTIALIAS)
    """,
    "densenet's weights under either name": DENSENET_KEYS,
    "libraries written for today keep today's meanings": """
        import torch
        space = {"__name__": "torchvision.somewhere", "torch": torch}
        exec("half = torch.LongTensor([1]) / 2; steps = torch.arange(3); one = torch.ones(()).numpy()", space)
        assert space["half"].tolist() == [0.5] and space["steps"].dtype == torch.int64 and space["one"].ndim == 0
    """,
    "today's libraries import": "import torchvision, timm, kornia, foolbox; timm.create_model('resnet18')",
    "the rest stays as it was": """
        import importlib.util, inspect, pickle, torch, scipy.stats
        assert importlib.util.find_spec("scipy").origin.endswith("__init__.py")
        assert "def compile" in inspect.getsource(torch) and pickle.loads(pickle.dumps(torch.ones(1))) == 1
        assert torch.cuda.is_available() == (torch.cuda.device_count() > 0)
        try: import scipy.no_such_module
        except ModuleNotFoundError: pass
    """,
}

# name -> (program that leaves `result`, what torch 0.3 or pandas 0.20 gave). Today's answer, or error, is another one.
MEANINGS = {
    "clamp passes the gradient at both its bounds": ("""
        import torch; from torch.autograd import Variable
        x = Variable(torch.FloatTensor([-1, 0, 0.5, 1, 2]), requires_grad=True)
        torch.clamp(x, 0, 1).sum().backward(); result = x.grad.data.numpy().tolist()
    """, [0, 1, 1, 1, 0]),
    "clamp as a method, bounds by name": ("""
        import torch; from torch.autograd import Variable
        x = Variable(torch.FloatTensor([-1, 0, 0.5, 1, 2]), requires_grad=True)
        x.clamp(min=0, max=1).sum().backward(); result = x.grad.data.numpy().tolist()
    """, [0, 1, 1, 1, 0]),
    "clamp in place": ("""
        import torch; from torch.autograd import Variable
        x = Variable(torch.FloatTensor([-1, 0, 0.5, 1, 2]), requires_grad=True)
        y = (x * 1).clamp_(0, 1); y.sum().backward(); result = y.data.numpy().tolist() + x.grad.data.numpy().tolist()
    """, [0, 0, 0.5, 1, 1, 0, 1, 1, 1, 0]),
    "an attack that begins at white and black pixels moves them": ("""
        import torch; from torch.autograd import Variable
        pixels = torch.FloatTensor([0, 0, 1, 1]); pull = torch.FloatTensor([1, 1, -1, -1])
        change = Variable(torch.zeros(4), requires_grad=True)
        optimizer = torch.optim.Adam([change], lr=0.1)
        for step in range(3):
            loss = -(torch.clamp(Variable(pixels) + change, 0, 1) * Variable(pull)).sum()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        result = int((change.data != 0).sum())
    """, 4),
    "a tie's gradient goes to the second": ("""
        import torch; from torch.autograd import Variable
        a, b = [Variable(torch.FloatTensor([1, 2, 3]), requires_grad=True) for _ in range(2)]
        (torch.max(a, b) + a.min(b) * 10).sum().backward(); result = [a.grad.data.sum().item(), b.grad.data.sum().item()]
    """, [0, 33]),
    "bilinear Upsample aligns corners": ("""
        import torch, torch.nn as nn; from torch.autograd import Variable
        x = Variable(torch.FloatTensor([[[[0, 3], [6, 9]]]]))
        result = nn.Upsample(scale_factor=2, mode="bilinear")(x).data.numpy()[0, 0, 0].round(4).tolist()
    """, [0, 1, 2, 3]),
    "functional upsample aligns corners": ("""
        import torch, torch.nn.functional as F
        x = torch.FloatTensor([[[[0, 3], [6, 9]]]])
        result = F.upsample(x, size=(4, 4), mode="bilinear").numpy()[0, 0, 0].round(4).tolist()
    """, [0, 1, 2, 3]),
    "affine_grid aligns corners": ("""
        import torch, torch.nn.functional as F
        grid = F.affine_grid(torch.FloatTensor([[[1, 0, 0], [0, 1, 0]]]), torch.Size((1, 1, 3, 3)))
        result = grid.numpy()[0, 0, :, 0].tolist()
    """, [-1, 0, 1]),
    "grid_sample aligns corners": ("""
        import torch, torch.nn.functional as F
        x = torch.FloatTensor([[[[0, 4], [0, 4]]]]); grid = torch.FloatTensor([[[[-1, 0], [0, 0], [1, 0]]]])
        result = F.grid_sample(x, grid).numpy()[0, 0, 0].tolist()
    """, [0, 2, 4]),
    "bare dropout drops nothing": ("""
        import torch, torch.nn.functional as F
        torch.manual_seed(0); x = torch.ones(1, 64, 4, 4)
        result = [float(f(x).min()) for f in (F.dropout, F.dropout2d, F.alpha_dropout)] + [float(F.dropout(x, 0.9, True).min())]
    """, [1, 1, 1, 0]),
    "integers divide to integers, towards zero": ("""
        import torch
        x = torch.LongTensor([7, -7, 4]); y = x.clone(); y /= 2
        result = [(x / 2).tolist(), (15 / x).tolist(), torch.div(x, 2).tolist(), x.div(x).tolist(), y.tolist()]
        result.append((x[0] / 2).item())
    """, [[3, -3, 2], [2, -2, 3], [3, -3, 2], [1, 1, 1], [3, -3, 2], 3.5]),
    "arange gives floats": ("""
        import torch
        result = [(torch.arange(0, 4) / 4).tolist(), torch.arange(3).type()]
    """, [[0, 0.25, 0.5, 0.75], "torch.FloatTensor"]),
    "1 - mask": ("""
        import torch
        x = torch.FloatTensor([1, 2, 3]); mask = x > 1
        rest = 1 - mask
        result = [rest.tolist(), x.masked_fill(rest, 9).tolist(), x[rest].tolist(), x.masked_select(rest).tolist()]
    """, [[1, 0, 0], [9, 2, 3], [1], [1]]),
    "masks add up": ("""
        import torch
        x = torch.FloatTensor([1, 2, 3]); result = ((x > 1) + (x > 2)).tolist()
    """, [0, 1, 2]),
    "a label prints as its number": ("""
        import torch
        labels = torch.FloatTensor([[0, 1], [1, 0]]).max(1)[1]
        result = ["%s,%s" % ("a.png", labels[0]), "{0},{1}".format("a.png", labels[1]), str(labels[0]), str([x for x in labels])]
    """, ["a.png,1", "a.png,0", "1", "[1, 0]"]),
    "csv of labels": ("""
        import csv, io, torch
        out = io.StringIO()
        for name, label in zip("ab", torch.LongTensor([812, 3])): csv.writer(out).writerow([name, label])
        result = out.getvalue().split()
    """, ["a,812", "b,3"]),
    "a loss is an array of one element": ("""
        import torch; from torch.autograd import Variable
        result = float(Variable(torch.ones(3)).sum().data.cpu().numpy()[0])
    """, 3.0),
    "volatile computes without a graph": ("""
        import torch; from torch.autograd import Variable
        net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
        y = net(Variable(torch.ones(1, 2), volatile=True))
        z = torch.nn.functional.log_softmax(torch.cat([y, y], 1))
        live = net(Variable(y.data.repeat(1, 2), requires_grad=True)); plain = type(y.data) is torch.Tensor
        result = [y.requires_grad, z.grad_fn is None, y.volatile, live.requires_grad, live.volatile, plain]
    """, [False, True, True, True, False, True]),
    "zero_grad leaves zeros": ("""
        import torch
        net = torch.nn.Linear(1, 1); net(torch.ones(1)).backward(); net.zero_grad()
        a = float(net.weight.grad.data.sum()); torch.optim.SGD(net.parameters(), lr=1).zero_grad()
        result = [a, float(net.weight.grad.data.sum())]
    """, [0, 0]),
    "DataLoader's iterator has next": ("""
        import torch; from torch.utils.data import DataLoader, TensorDataset
        result = iter(DataLoader(TensorDataset(torch.ones(2), torch.zeros(2)))).next()[0].tolist()
    """, [1.0]),
    "permute_": ("""
        import torch
        x = torch.arange(0, 6).view(1, 2, 3); x.permute_(0, 2, 1); result = [list(x.size()), x[0, 0].tolist()]
    """, [[1, 3, 2], [0, 3]]),
    "normal with means": ("""
        import torch
        x = torch.normal(means=torch.zeros(3) + 5, std=torch.zeros(3)); y = torch.normal(means=2.0, std=torch.zeros(2))
        result = x.tolist() + y.tolist()
    """, [5, 5, 5, 2, 2]),
    "dotted module names": ("""
        import torch.nn as nn
        net = nn.Sequential(); net.add_module("norm.1", nn.BatchNorm2d(1)); net.add_module("conv.1", nn.Conv2d(1, 1, 1))
        result = sorted(net.state_dict())[:2] + [len(list(net.children()))]
    """, ["conv.1.bias", "conv.1.weight", 2]),
    "pandas as_matrix": ("""
        import pandas as pd
        t = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
        result = [t.as_matrix().tolist(), t.as_matrix(["b"]).tolist(), t["a"].as_matrix().tolist()]
    """, [[[1, 3], [2, 4]], [[3], [4]], [1, 2]]),
    "pandas ix": ("""
        import pandas as pd
        t = pd.DataFrame({"name": ["x", "y"], "label": [3, 4]}, index=["r", "s"])
        u = pd.DataFrame({"v": [7, 8, 9]}, index=[2, 1, 0])
        u.ix[0, "v"] = 5
        result = [str(t.ix[0, "name"]), int(t.ix["s", 1]), int(t.ix[1]["label"]), [str(n) for n in t.ix[:, 0]], int(u.ix[2, "v"]),
                  int(u.ix[0, 0]), t.ix[:1].shape[0], u.ix[2:1].shape[0]]
    """, ["x", 4, 4, ["x", "y"], 7, 5, 1, 2]),
}

LAZY = """
    import sys, json, csv, subprocess
    heavy = {"torch", "torchvision", "scipy", "numpy", "PIL", "pandas", "tokenize", "compat2017.sources"} & set(sys.modules)
    assert "compat2017" in sys.modules and not heavy, heavy
"""


def in_shim(tmp_path: Path, arguments: list[str], shim: str = str(SHIM)) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PYTHONPATH": shim, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False)


RUN_ALL = """
import json, sys, traceback, warnings
warnings.simplefilter("ignore")
failures, results = {}, {}
for name, source in json.load(open("programs.json")).items():
    space = {"__name__": "__main__"}
    try:
        exec(source, space)
        results[name] = space.get("result")
    except BaseException:
        failures[name] = traceback.format_exc()
json.dump([failures, results], open("ended.json", "w"))
"""


def without_indent(source: str) -> str:
    return textwrap.dedent(source).strip() + "\n"


Ended = tuple[dict[str, str], dict[str, Any]]


def run_all(place: Path, programs: dict[str, str], shim: str = str(SHIM)) -> Ended:
    """Run every program in one interpreter: importing torch takes seconds. Returns tracebacks and results by name."""
    written = {name: without_indent(source) for name, source in programs.items()}
    (place / "programs.json").write_text(json.dumps(written))
    done = in_shim(place, [sys.executable, "-c", RUN_ALL], shim)
    assert done.returncode == 0, done.stderr
    failures, results = json.loads((place / "ended.json").read_text())
    return failures, results


OLD_PROGRAMS = {name: source for name, (source, _) in MEANINGS.items()}


@pytest.fixture(scope="module")
def put_back(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run_all(tmp_path_factory.mktemp("then"), PROGRAMS | OLD_PROGRAMS)


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run_all(tmp_path_factory.mktemp("today"), OLD_PROGRAMS, shim="")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_call_is_put_back(name: str, put_back: Ended) -> None:
    assert name not in put_back[0], put_back[0][name]


@pytest.mark.parametrize("name", MEANINGS)
def test_a_meaning_is_put_back(name: str, put_back: Ended) -> None:
    failures, results = put_back
    assert name not in failures, failures[name]
    assert results[name] == MEANINGS[name][1]


@pytest.mark.parametrize("name", MEANINGS)
def test_todays_meaning_is_another(name: str, today: Ended) -> None:
    failures, results = today
    assert name in failures or results[name] != MEANINGS[name][1]


TABS = b"""import sys
def sign(x):
    if x:
\treturn "tabs and blanks"
text = '''
\tkept
'''
def move(x, non_blocking=False): return non_blocking
print(sign(1), repr(text), move(1, async=True), sys.argv, __name__, __file__)
sys.exit(3)
"""


def test_tabs_among_blanks_in_the_main_script(tmp_path: Path) -> None:
    (tmp_path / "attack.py").write_bytes(TABS)
    (tmp_path / "beside.py").write_bytes(b"name = 'beside'\n")
    assert in_shim(tmp_path, ["python", "attack.py"], shim="").returncode == 1
    done = in_shim(tmp_path, ["python", "-u", "attack.py", "in", "--x=1"])
    said = "tabs and blanks '\\n\\tkept\\n' True ['attack.py', 'in', '--x=1'] __main__ attack.py\n"
    assert (done.returncode, done.stdout) == (3, said), done.stderr


def test_tabs_among_blanks_in_a_module(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_bytes(TABS.replace(b"sys.exit(3)", b""))
    (tmp_path / "main.py").write_text("import module; print(module.sign(1))\n")
    assert in_shim(tmp_path, ["python", "main.py"]).stdout.endswith("\ntabs and blanks\n")


def test_a_mistake_in_a_program_is_told_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "attack.py").write_bytes(b"if 1:\n\tprint 'two'\n")
    done = in_shim(tmp_path, ["python", "attack.py"])
    assert done.returncode == 1
    assert "SyntaxError: Missing parentheses in call to 'print'" in done.stderr
    assert 'attack.py", line 2' in done.stderr


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


@pytest.fixture(scope="module")
def image() -> str:
    subprocess.run([sys.executable, str(ROOT / "docker" / "build.py"), "compat-torch"], check=True)
    return "localhost/harness-compat-torch:1"


@pytest.mark.docker
def test_the_images_numpy_adds_as_in_2017(image: str) -> None:
    """Arrays keep their type beside numbers, and a number is no uint8; without a word of warning."""
    program = (
        "import numpy as np; print(np.uint8(200) + 100, (np.ones(2, np.float32) * np.float64(2)).dtype, "
        "(np.ones(2, np.uint8) * 300).dtype, np.uint8([200]) + 100)"
    )
    command = ["docker", "run", "--rm", "--network=none", image, "python", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("300 float32 uint16 [44]\n", "")


@pytest.mark.docker
def test_a_2017_entry_runs_in_the_image(image: str, tmp_path: Path) -> None:
    """Without a network, as root, its code at /code."""
    code, given, made, clean = laid_out(tmp_path)
    mounts = [f"--volume={code}:/code", f"--volume={given}:/input_images:ro", f"--volume={made}:/output_images"]
    command = ["docker", "run", "--rm", "--network=none", "--workdir=/code", *mounts, image]
    done = subprocess.run(
        [*command, "./run_attack.sh", "/input_images", "/output_images", "16"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_attacked(made, clean, 16)
