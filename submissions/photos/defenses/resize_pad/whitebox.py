"""What white-box attacks are given: the net behind its random patterns, differentiable but never the same."""

from defense import NET, logits

from field_kit.white_box import OpenDefense


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(logits, randomised=True, label_offset=NET.label_offset)
