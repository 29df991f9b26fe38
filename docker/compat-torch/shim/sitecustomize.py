"""The start-up hook where this folder is on PYTHONPATH; in an image ``compat2017.pth`` does the same."""

import compat2017  # noqa: F401
