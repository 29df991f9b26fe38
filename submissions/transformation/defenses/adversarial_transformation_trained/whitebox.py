"""What white-box attacks are given: the classifier, and the transformation before it."""

from pathlib import Path

from field_kit.model import load as read
from field_kit.transformation import Transformation
from field_kit.white_box import OpenDefense

HERE = Path(__file__).parent


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(read(HERE / "base" / "model.json"), Transformation(read(HERE / "external.json")), randomised=True)
