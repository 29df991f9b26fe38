#!/usr/bin/env bash
# Base images where an engine answers. Prints the sandbox that this host can use, `docker` or `process`, and why to stderr.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! .venv/bin/python -c 'import docker; docker.from_env(timeout=20).ping()' 2>/dev/null; then
    echo "No Docker engine answers: entries run WITHOUT ISOLATION, as programs of yours (fine for the samples, not for strangers' entries)." >&2
    echo process
elif ! .venv/bin/python docker/build.py light full >&2; then
    echo "The base images cannot be made (see above): entries run WITHOUT ISOLATION, as programs of yours." >&2
    echo process
else
    echo docker
fi
