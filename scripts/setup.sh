#!/usr/bin/env bash
# Makes .venv with everything that the demo and the tests need, once: a stamp holds what it was made from.
set -euo pipefail
cd "$(dirname "$0")/.."

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.11 python3.12 python3.13 python3.14}; do
        if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "No Python 3.11 or newer is on PATH: install one (apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3" >&2
    exit 2
}

python=$(find_python)
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
stamp=.venv/.harness-stamp
wanted="$version $(cat pyproject.toml scripts/setup.sh | sha256sum | cut -d' ' -f1)"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
    exit 0
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "Python $version has no venv module: apt-get install python$version-venv (or python3-venv), then run this again." >&2
    exit 2
fi
# An environment of another Python cannot be repaired by installing into it.
if [ -x .venv/bin/python ] && ! .venv/bin/python -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
    echo "The virtual environment .venv is of another Python than $version: making it anew." >&2
    rm -rf .venv
fi
[ -x .venv/bin/python ] || "$python" -m venv .venv

# Without a GPU, torch's CPU builds are a tenth of the size; not every network has their index.
extra=()
if ! command -v nvidia-smi >/dev/null && .venv/bin/python -c 'import sys; sys.path.insert(0, "docker"); import wheelhouse; sys.exit(not wheelhouse.cpu_index_answers())'; then
    extra=(--extra-index-url "$(.venv/bin/python -c 'import sys; sys.path.insert(0, "docker"); import wheelhouse; print(wheelhouse.CPU_INDEX)')")
fi
echo "Installing into .venv (some minutes the first time)" >&2
# -qq: with several indexes configured, pip warns once per index and package.
.venv/bin/python -m pip install --disable-pip-version-check -qq "${extra[@]}" -e '.[field,export,dev]'
echo "$wanted" > "$stamp"
