#!/bin/sh
# Makes the Python environment in which tests/audio scores voice quality: .venv in the root of the
# repository. Needs these Debian packages (the last two are what the tests hear and how they
# encode it):
#   apt-get install -y python3-venv python3-dev gcc pocketsphinx-testdata lame
# Does nothing when the environment is there and up to date.
set -eu
cd "$(dirname "$0")/../.."
python=/usr/bin/python3
[ -x "$python" ] || python=python3
if ! cmp -s tests/audio/requirements.txt .venv/requirements.txt; then
    rm -rf .venv
    "$python" -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r tests/audio/requirements.txt
    cp tests/audio/requirements.txt .venv/requirements.txt
fi
.venv/bin/python -c 'import numpy, pesq'
