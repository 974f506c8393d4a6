#!/bin/sh
# Makes the virtual environment FOLDER with the packages of REQUIREMENTS, without changing the
# system's Python.
#
#   scripts/make_venv.sh FOLDER REQUIREMENTS
#
# PYTHON names the interpreter to use; by default the first suitable one of python3.11, 3.12, 3.13
# and python3.
set -eu

folder=$1
requirements=$2

# 3.13 is the last version that TensorFlow 2.21 has wheels for.
supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
complete='import ensurepip, venv'

python=
available=
for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    # Run the candidate, as a version manager's stub may have no interpreter.
    "$candidate" -c "$supported" >/dev/null 2>&1 || continue
    available=$candidate
    "$candidate" -c "$complete" >/dev/null 2>&1 || continue
    python=$candidate
    break
done

if [ -z "$available" ]; then
    echo "Expected Python 3.11, 3.12 or 3.13. Found: $(python3 --version 2>&1 || true)" >&2
    echo "Install one (Debian 12, Ubuntu 24.04: apt install python3 python3-venv)" >&2
    echo "or name one: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
fi
if [ -z "$python" ]; then
    version=$("$available" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$available lacks the modules venv and ensurepip, which make virtual environments." >&2
    echo "Debian, Ubuntu: apt install python$version-venv" >&2
    exit 1
fi

echo "Making $folder with $("$python" --version) (downloads about 600 MB the first time)"
"$python" -m venv --clear "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
