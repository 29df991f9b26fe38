"""What white-box attacks are given: net and denoiser, differentiable as they are."""

from defense import NET, logits

from field_kit.white_box import OpenDefense


def load() -> OpenDefense:
    """Return the defense as its attackers see it."""
    return OpenDefense(logits, label_offset=NET.label_offset)
