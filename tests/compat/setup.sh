#!/bin/sh
# Makes the Python environment in which tests/compat runs other people's clients: .venv-compat in
# the root of the repository. Needs python3-venv and what pip fetches (90 MB); where PyPI is out of
# reach it says SKIPPED and the tests do, too. Does nothing when the environment is there and up to
# date.
#
# requirements.txt is what a bot on a phone line loads, requirements-rest.txt what Twilio's own
# library does beyond that; both are pinned with hashes. Pipecat asks for more (engines that run in
# the process), which is why pip is not let to resolve: --no-deps.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=python3
skip() {
    rm -rf .venv-compat
    echo "SKIPPED: tests/compat: $1"
    exit 0
}
lists="tests/compat/requirements.txt tests/compat/requirements-rest.txt"
# shellcheck disable=SC2086 # two files
if ! cat $lists | cmp -s - .venv-compat/requirements.txt; then
    rm -rf .venv-compat
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        skip "Pipecat needs Python 3.11"
    "$python" -m venv .venv-compat || skip "no virtual environment (apt-get install python3-venv)"
    .venv-compat/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r tests/compat/requirements.txt -r tests/compat/requirements-rest.txt ||
        skip "the packages cannot be had from PyPI"
    .venv-compat/bin/python -c 'import pipecat.serializers.twilio, uvicorn' >/dev/null 2>&1 ||
        skip "Pipecat does not load"
    .venv-compat/bin/python -c 'import twilio.rest' || skip "Twilio's library does not load"
    cat $lists >.venv-compat/requirements.txt
fi
