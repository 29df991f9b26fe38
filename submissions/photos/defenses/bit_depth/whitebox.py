"""What white-box attacks are given: the net, and the rounding before it."""

from defense import NET, squeeze

from field_kit.white_box import OpenDefense, on_images


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(NET, on_images(squeeze), label_offset=NET.label_offset)
