#!/bin/sh
# Makes the Python environment in which tests/compat runs other people's clients: .venv-compat in
# the root of the repository. Needs python3-venv and what pip fetches (90 MB); where PyPI is out of
# reach it says SKIPPED and the tests do, too. Does nothing when the environment is there and up to
# date.
#
# The list is what a bot on a phone line loads, pinned with hashes. Pipecat asks for more (engines
# that run in the process), which is why pip is not let to resolve: --no-deps.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=python3
skip() {
    rm -rf .venv-compat
    echo "SKIPPED: tests/compat: $1"
    exit 0
}
if ! cmp -s tests/compat/requirements.txt .venv-compat/requirements.txt; then
    rm -rf .venv-compat
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        skip "Pipecat needs Python 3.11"
    "$python" -m venv .venv-compat || skip "no virtual environment (apt-get install python3-venv)"
    .venv-compat/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r tests/compat/requirements.txt || skip "the packages cannot be had from PyPI"
    .venv-compat/bin/python -c 'import pipecat.serializers.twilio, uvicorn' ||
        skip "Pipecat does not load"
    cp tests/compat/requirements.txt .venv-compat/requirements.txt
fi
