"""What grey-box attacks are given: the classifier alone, which was trained on transformed images."""

from pathlib import Path

from field_kit.model import load as read
from field_kit.white_box import OpenDefense


def load() -> OpenDefense:
    """Return the classifier without the transformation."""
    return OpenDefense(read(Path(__file__).with_name("model.json")))
