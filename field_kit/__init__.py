"""What the sample entries have in common: small nets, reading a net from its spec, images as tensors and back.

An entry imports it instead of carrying a copy, so that its directory holds its method and little else. The full base image has it,
and it is installed with the harness; torch and the rest that it needs come with the extra ``field``. The harness never imports it.
Its content is part of the identity of every image that has it: change what it computes, and all entries that use it have changed.
"""

__version__ = "1.0"
