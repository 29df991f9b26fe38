"""What white-box attacks are given: the net, which gradients pass from end to end."""

from defense import NET

from field_kit.white_box import OpenDefense


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(NET, label_offset=NET.label_offset)
