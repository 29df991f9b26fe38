"""What white-box attacks are given: the defense itself, with "adversarial" as one class more."""

from types import SimpleNamespace

from defense import NET, labels, logits


def load() -> SimpleNamespace:
    """Return the defense as its attackers see it."""
    return SimpleNamespace(logits=logits, predict=labels, label_offset=NET.label_offset)
