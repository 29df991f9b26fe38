"""What is refused before it ever runs, and what is taken without harm: archives and metadata."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK, _FAILED = one_of(Outcome.OK), one_of(Outcome.START_FAILED)


def _refused(name: str, tries: str, sentence: str) -> Row:
    return Row(name, tries, sentence=sentence, build="archive", program="behaves.py", process=True)


def _metadata(name: str, tries: str, sentence: str, /, **fields: object) -> Row:
    return Row(name, tries, sentence=sentence, build="metadata", program="behaves.py", options=fields, process=True)


def _tree(name: str, tries: str, sentence: str, **options: object) -> Row:
    return Row(name, tries, sentence=sentence, build="tree", program="behaves.py", options=options, process=True)


ROWS = (
    _refused("archive-that-climbs", "holds a path with ../ (zip)", "it holds the path"),
    _refused("archive-that-climbs-in-tar", "holds a path with ../ (tar)", "it holds the path"),
    _refused("archive-with-absolute-path", "holds an absolute path", "it holds the path"),
    _refused("archive-with-backslashes", "holds a path that climbs with backslashes", "it holds the path"),
    _refused("archive-with-link-out", "holds a link that leads out of it", "leads out of it"),
    _refused("archive-with-link-chain", "holds links that lead out of it one through the other", "leads out of it"),
    _refused("archive-with-zip-link", "holds a link that leads out of it (zip)", "leads out of it"),
    _refused("archive-that-writes-through-a-link", "holds a link, and a file below the link", "cannot be unpacked"),
    _refused("archive-with-hard-link-out", "holds a hard link to a file of the host", "it holds the path"),
    _refused("archive-with-hard-link-ahead", "holds a hard link to a file that it does not hold", "names no earlier file"),
    _refused("archive-with-device", "holds a device", "neither a plain file"),
    _refused("archive-with-fifo", "holds a pipe", "neither a plain file"),
    _refused("archive-with-sparse-file", "holds a sparse file of 1 TB", "neither a plain file"),
    _refused("archive-bomb", "unpacks a few kilobytes to 10 GB", "it unpacks to more than"),
    _refused("archive-bomb-that-lies", "says that it is small, and unpacks to 1 GB", "damaged"),
    _refused("archive-bomb-in-tar", "declares a file of 1 TB", "it unpacks to more than"),
    _refused("archive-of-a-million-entries", "holds a million entries", "entries"),
    _refused("archive-of-a-million-entries-in-tar", "holds a million entries (tar.gz)", "entries"),
    _refused("archive-with-a-huge-header", "holds an extended header of 2 MB", "a header of more than a megabyte"),
    _refused("archive-with-a-name-twice", "holds one path twice", "twice"),
    _refused("archive-with-a-long-name", "holds a path of 5,000 characters", "too long"),
    _refused("archive-with-a-whiteout", "holds a file whose name makes Docker delete its program", "the removal of a file"),
    _refused("archive-that-is-encrypted", "holds encrypted files", "encrypted"),
    _refused("archive-cut-short", "is cut short", "damaged"),
    _refused("archive-that-is-none", "is a text", "damaged"),
    _refused("archive-of-two-roots", "holds two directories", "metadata.json"),
    _refused("archive-with-metadata-link", "holds a link to a file of the host for its metadata.json", "leads out of it"),
    Row("archive-from-a-mac", "holds __MACOSX beside its directory", _OK, build="archive", program="behaves.py", process=True),
    Row("archive-with-set-uid-bit", "holds a set-uid program that anybody may write", _OK, build="archive",
        program="archive-set-uid.py", hunts=True, process=True),
    Row("archive-without-exec-bit", "forgot the exec bit", _OK, build="archive", program="behaves.py", process=True),
    Row("archive-with-crlf", "was written on Windows: its first line ends in CR LF", _FAILED, "none", build="archive",
        program="behaves.py", process=True),
    _tree("directory-with-link-out", "holds a link to a file of the host", "leads out of the submission", link="{canary}"),
    _tree("directory-with-climbing-link", "holds a link that climbs out of it", "leads out of the submission",
          link="../../outside"),
    _tree("directory-with-fifo", "holds a pipe, at which a copy would wait for ever", "neither a file nor a directory", fifo=True),
    _tree("directory-with-fifo-for-metadata", "holds a pipe for its metadata.json", "it is a pipe", metadata="fifo"),
    _tree("directory-with-a-whiteout", "holds a file whose name makes Docker delete its program", "the removal of a file",
          file=".wh.run"),
    _tree("directory-nested", "nests 400 directories", "nests directories too deeply", nested=400),
    _metadata("metadata-that-climbs", "names an entry point out of its directory", "is not in the submission",
              entry_point="../../../bin/sh"),
    _metadata("metadata-with-absolute-entry-point", "names a program of the image as its entry point",
              "is not in the submission", entry_point="/bin/sh"),
    _metadata("metadata-with-option-for-image", "names an option of the engine as its image", "is not the name of a Docker image",
              container="--privileged"),
    _metadata("metadata-with-odd-name", "calls itself ../../x", "is not a name", name="../../x"),
    _metadata("metadata-called-clean", "calls itself like the built-in opponent", "built-in opponent", name="clean"),
    _metadata("metadata-with-escape-codes", "puts terminal control codes into its team", "one line of text", team="\x1b[2Jx"),
    _metadata("metadata-nested", "nests its metadata 100,000 deep", "is not JSON", raw="[" * 100_000),
    _metadata("metadata-with-a-key-twice", "says its type twice", "appears twice",
              raw='{"type": "attack", "container": "x", "entry_point": "run", "type": "defense"}'),
    _metadata("metadata-of-other-type", "names a type that does not exist", "is not one of", type="organiser"),
    _metadata("metadata-with-unknown-profile", "asks for a profile of its own", "neither", profile="privileged"),
)
