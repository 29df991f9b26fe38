"""Reading what an untrusted program left: by expected names only, following nothing, decoding in processes of their own."""

from harness.outputs.process import ReaderError
from harness.outputs.reader import AttackOutput, OutputReader

__all__ = ["AttackOutput", "OutputReader", "ReaderError"]
