"""What grey-box attacks are given: the classifier f alone, nothing of the detector behind it."""

from pathlib import Path

from field_kit.model import load as load_net
from field_kit.white_box import OpenDefense


def load() -> OpenDefense:
    """Return the classifier as its attackers see it."""
    net = load_net(Path(__file__).with_name("model.json"))
    return OpenDefense(net, label_offset=net.label_offset)
