"""What an attack may leave instead of images."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, one_of

_OK, _BAD, _NOTHING = one_of(Outcome.OK), one_of(Outcome.BAD_OUTPUT), one_of(Outcome.NO_OUTPUT)
_PILLOW = {"pillow": True}


def _kept(name: str, tries: str, *, pillow: bool = False) -> Row:
    """A file that must be read, with the pixels that it was written with."""
    return Row(name, tries, _OK, check="pixels_kept", options=_PILLOW if pillow else {}, process=True)


def _refused(name: str, tries: str) -> Row:
    """Files that must all be refused, one by one."""
    return Row(name, tries, _BAD, "none", "all", process=True)


def _either(name: str, tries: str) -> Row:
    """Files that a decoder may take or refuse, as its version has it: what counts is that nothing else happens."""
    return Row(name, tries, one_of(Outcome.OK, Outcome.BAD_OUTPUT), "any", "any", process=True)


FILES = (
    _refused("output-symlink-to-host-file", "leaves links to files of the host for images"),
    _refused("output-symlink-to-labels", "leaves links to the true labels for images"),
    _refused("output-symlink-to-input", "leaves links to its input for images"),
    _refused("output-symlink-to-another-output", "leaves links to one of its outputs for images"),
    _refused("output-symlink-loop", "leaves links to themselves for images"),
    _refused("output-hard-link", "leaves one file under many names"),
    Row("output-hard-link-to-input", "makes a hard link from its output to its input", _NOTHING, "none", hunts=True, process=True),
    _refused("output-fifo", "leaves pipes for images, at which a reader would wait for ever"),
    _refused("output-socket", "leaves sockets for images"),
    Row("output-device", "leaves devices for images", _NOTHING, "none", hunts=True),
    _refused("output-directory", "leaves directories named like images, with links in them"),
    Row("output-without-permissions", "takes all permissions off its outputs and their directory",
        one_of(Outcome.OK, Outcome.NO_OUTPUT, Outcome.BAD_OUTPUT), "any", "any"),
    Row("output-set-uid", "leaves set-uid files that anybody may write", _OK, process=True),
    _refused("output-empty-files", "leaves empty files"),
    _refused("output-huge-sparse-images", "leaves images of 60 MB that hold nothing"),
    Row("replaces-its-output-directory", "removes and renames its output directory", _OK, hunts=True),
    Row("odd-names", "leaves further files with odd names: line ends, control characters, 255 bytes, case twins, the harness's own",
        _OK, check="pixels_kept", process=True),
    Row("only-one-image", "leaves one image under all names", _OK, process=True),
)

IMAGES = (
    _refused("png-bomb", "leaves 30,000 x 30,000 pixels in a few kilobytes"),
    Row("png-at-the-pixel-limit", "leaves the largest images that are decoded at all", _OK, check="says_resized", process=True),
    _refused("png-of-impossible-size", "leaves images of no pixels, or of more than any memory holds"),
    _either("png-data-bomb", "leaves small images whose data inflate to 100 MB"),
    _either("png-text-bomb", "hides a compressed text of 100 MB before the pixels"),
    _either("png-profile-bomb", "hides a colour profile of 100 MB before the pixels"),
    _either("png-thousands-of-chunks", "puts 15,000 chunks before the pixels"),
    _refused("png-truncated", "cuts its images short"),
    _refused("png-damaged", "flips bytes of its images"),
    _either("plain-text-images", "writes images in the slowest format, as decimal numbers"),
    _kept("png-16-bit", "writes 16 bits a channel"),
    _kept("png-palette", "writes palette images, wholly transparent"),
    _kept("png-alpha", "writes an alpha channel"),
    _kept("png-interlaced", "writes interlaced images"),
    _kept("png-animated", "writes an animation whose frames differ from the image"),
    Row("jpeg-behind-png", "writes JPEG under the name .png", _OK, options=_PILLOW, process=True),
    _kept("webp-behind-png", "writes WebP under the name .png", pillow=True),
    _kept("tiff-behind-png", "writes TIFF under the name .png", pillow=True),
    _kept("bmp-behind-png", "writes BMP under the name .png"),
    _refused("exotic-formats", "writes SVG, PostScript, PDF, PSD, ImageMagick scripts, archives and text under the name .png"),
    Row("wrong-size", "writes images of twice the size", _OK, check="says_resized", process=True),
    Row("far-beyond-epsilon", "leaves white images, far beyond epsilon", _OK, check="cut_to_epsilon", process=True),
)

ROWS = (*FILES, *IMAGES)
