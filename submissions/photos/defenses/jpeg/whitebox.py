"""What white-box attacks are given: the net, and the compression before it."""

from defense import NET, compress

from field_kit.white_box import OpenDefense, on_images


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(NET, on_images(compress), label_offset=NET.label_offset)
