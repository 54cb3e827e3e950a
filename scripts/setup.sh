#!/bin/sh
# Builds .venv from the lock with plain pip. Usage: scripts/setup.sh
# Needs Python 3.11 or newer with venv; installs python3-venv where it may, else says so.
set -eu

python=
for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup: no Python 3.11 or newer was found. Install one (Debian 12, Ubuntu 24.04 and" >&2
    echo "       newer have it as python3), or name it: make PYTHON=/path/to/python3 ..." >&2
    exit 2
fi

make_venv() { "$python" -m venv --clear .venv; }
if ! make_venv >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing python3-venv" >&2
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
        make_venv
    else
        echo "setup: this Python has no venv module. Run: sudo apt-get install python3-venv" >&2
        exit 2
    fi
fi

echo "setup: installing the locked packages into .venv (a few minutes the first time)" >&2
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
touch .venv/ready
