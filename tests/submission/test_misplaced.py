"""What was handed in instead of a submission is said by name."""

from __future__ import annotations

import pytest

from harness.submission.load import read_metadata_file

#: Files of a directory, words of the sentence, words of the step.
INSTEAD = {
    "a saved image": (["manifest.json", "repositories", "ab12/layer.tar"], "a saved Docker image", "docker load"),
    "a saved image of today": (["manifest.json", "oci-layout", "blobs/sha256/ab"], "a saved Docker image", "docker load"),
    "an exported container": (["bin/sh", "etc/passwd", "usr/bin/env"], "the file system of a container", "docker import"),
    "a directory too many": (["a/entry/metadata.json"], "but in a/entry", "a/entry"),
    "Finder's file beside": ([".DS_Store", "entry/metadata.json"], "but in entry; beside that are .DS_Store", "entry"),
    "a Mac's file beside": (["._entry", "entry/metadata.json"], "beside that are ._entry", "entry"),
    "two of them": (["a/metadata.json", "b/metadata.json"], "there are 2: in a, b", "each"),
    "another case": (["Metadata.JSON"], "but Metadata.JSON is", "Rename"),
    "a text": (["metadata.json.txt"], "but metadata.json.txt is", "Rename"),
    "nothing like it": (["run.sh"], "cannot be read (No such file", "Write metadata.json"),
}


@pytest.mark.parametrize("name", INSTEAD)
def test_it_is_said_what_it_is(tmp_path, name) -> None:
    files, words, step = INSTEAD[name]
    for path in files:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    metadata, (problem,) = read_metadata_file(tmp_path)
    assert metadata is None
    assert words in problem.sentence
    assert step in problem.next_step
