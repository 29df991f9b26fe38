"""The common code of the sample entries: what is left for an entry itself, and that the templates need none of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")

from entry_loading import SUBMISSIONS, digits, entry

import field_kit
from field_kit.model import load, to_pixels, to_tensor
from field_kit.stored import Stored

pytestmark = pytest.mark.field

ENTRIES = sorted(path.parent for path in SUBMISSIONS.rglob("metadata.json") if path.parent.parent.name != "templates")
TEMPLATES = [SUBMISSIONS / "templates" / name for name in ("defense", "targeted_attack")]
SURROGATE = SUBMISSIONS / "training" / "surrogates" / "a" / "model.json"


def test_an_entry_is_one_method_file_and_what_it_reads() -> None:
    assert len(ENTRIES) >= 36 + 12
    odd = {}
    for directory in ENTRIES:
        files = {path.name for path in directory.iterdir() if path.name != "__pycache__"}
        programs = {name for name in files if name.endswith(".py")} - {"whitebox.py"}
        rest = files - programs - {"run.sh", "metadata.json", "README.md", "whitebox.py", "base"}
        data = {name for name in rest if re.fullmatch(r"\w+\.(json|safetensors|npy)", name)}
        if len(programs) != 1 or rest != data:
            odd[directory.name] = sorted(files)
    assert odd == {}


def test_its_version_is_read_without_torch() -> None:
    program = "import field_kit, sys; assert 'torch' not in sys.modules; print(field_kit.__version__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == field_kit.__version__


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_needs_none_of_it(template: Path) -> None:
    """Its own small loader is all that it has beside the SDK and torch, and gives the very same logits."""
    assert {path.name: path.read_text() for path in template.glob("*.py") if "field_kit" in path.read_text()} == {}
    assert (template / "model.py").read_text() == (TEMPLATES[0] / "model.py").read_text()
    pixels = to_tensor(digits(6)[0])
    own = entry(str(template), "defense.py" if template.name == "defense" else "attack.py")
    assert torch.equal(own.NET(pixels), load(SURROGATE)(pixels))


def test_stored_is_what_a_file_holds() -> None:
    """The logits are those of the clipped, rounded image, and gradients pass the rounding."""
    images, _, _ = digits(6)
    net, clean = load(SURROGATE), to_tensor(images)
    moved = (clean + torch.linspace(-0.2, 0.2, clean[0].numel()).view_as(clean[0])).requires_grad_()
    stored = np.clip(np.rint(to_pixels(moved)), images.astype(int) - 16, images.astype(int) + 16).clip(0, 255).astype(np.uint8)
    logits = Stored(net, clean, 16)(moved)
    assert torch.allclose(logits, net(to_tensor(stored)), atol=1e-4)
    (gradient,) = torch.autograd.grad(logits.sum(), moved)
    assert gradient.abs().amax() > 0
