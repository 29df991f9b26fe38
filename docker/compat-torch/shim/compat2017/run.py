"""``python -m compat2017.run SCRIPT [ARGUMENT ...]``: what ``python SCRIPT`` would do, repaired where it does not compile."""

# pathlib is an import that every program would wait for.
# ruff: noqa: PTH120, PTH123

from __future__ import annotations

import os
import sys

from compat2017.sources import compiled


def main() -> None:
    """Become the script."""
    script = sys.argv[1]
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    with open(script, "rb") as file:
        source = file.read()
    code = compiled(lambda text: compile(text, script, "exec", dont_inherit=True), source)
    space = sys.modules["__main__"].__dict__
    for name in [name for name in space if not name.startswith("__")]:
        del space[name]
    space.update(__file__=script, __spec__=None, __package__=None, __doc__=None)
    exec(code, space)  # noqa: S102 - it is the program that was asked for


if __name__ == "__main__":
    main()
