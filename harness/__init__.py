"""A competition-style attack/defense tournament harness for adversarial machine learning."""

__version__ = "0.1.0"
