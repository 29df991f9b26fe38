"""Reading what an untrusted program left: by expected names only, following nothing, decoding in processes of their own."""

from harness.execution.outputs.decoder_process import ReaderError
from harness.execution.outputs.reader import AttackOutput, OutputReader

__all__ = ["AttackOutput", "OutputReader", "ReaderError"]
