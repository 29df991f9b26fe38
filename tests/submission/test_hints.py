from __future__ import annotations

import time

import pytest

from harness.submission.hints import hint

#: The end of what a program printed -> words of the hint.
SAID = {
    "ModuleNotFoundError: No module named 'torch'": "harness-full:1",
    "ModuleNotFoundError: No module named 'torchvision.models'": "no module torchvision.models",
    "ImportError: No module named tensorflow": "harness-compat-tf:1",
    "ModuleNotFoundError: No module named 'tensorflow.contrib'": "harness-compat-tf1:1",
    "ImportError: No module named cleverhans.attacks": "such as localhost/harness-compat-tf:1",
    "ModuleNotFoundError: No module named 'my_nets'": "put it beside the program",
    "ImportError: No module named 'my_nets'": "put it beside the program",
    "ModuleNotFoundError: No module named 'cPickle'": "Python 2",
    "    print 'done'\n    ^\nSyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?": "Python 2",
    "SyntaxError: multiple exception types must be parenthesized": "Python 2",
    "NameError: name 'xrange' is not defined": "Python 2",
    "AttributeError: 'dict' object has no attribute 'iteritems'": "Python 2",
    "FileNotFoundError: [Errno 2] No such file or directory: 'inception_v3.ckpt'": "inception_v3.ckpt is not there",
    "IOError: [Errno 2] No such file or directory: './models/net.pth'": "./models/net.pth is not there",
    "NotFoundError: Unsuccessful TensorSliceReader constructor: ... not found: ens3.ckpt.index": "ens3.ckpt.index is not there",
    "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False.": "no GPU",
    "AssertionError: Torch not compiled with CUDA enabled": "no GPU",
    "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>": "no network",
}


@pytest.mark.parametrize("text", SAID)
def test_a_hint_says_what_to_do(text):
    assert SAID[text] in hint(f'Traceback (most recent call last):\n  File "run.py", line 3\n{text}\n')


@pytest.mark.parametrize("text", [
    "", "done", "ValueError: 3", "FileNotFoundError: [Errno 2] No such file or directory: '/input/x.png'",
    "SyntaxError: invalid syntax", "MemoryError",
])
def test_what_suggests_nothing(text):
    assert hint(text) == ""


@pytest.mark.parametrize("text", [
    "not found" * 10**6, "No such file or directory: '" + "a" * 10**7, "No module named " * 10**6, "'" * 10**7,
])
def test_no_text_takes_long(text):
    started = time.process_time()
    hint(text)
    assert time.process_time() - started < 1
