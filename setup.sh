#!/usr/bin/env bash
# Makes an empty .venv/ with the first Python that is new enough; called by `make setup`.
set -euo pipefail

new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for candidate in python3.11 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c "$new_enough" 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "Nhịp Cầu needs Python 3.11 or newer; none is installed." >&2
    exit 1
fi

make_environment() {
    rm -rf .venv
    "$python" -m venv .venv
}

# Debian ships the part of Python that makes environments as a package of its own.
if ! make_environment >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update --quiet=2
        DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes python3-venv >/dev/null
        make_environment
    else
        echo "\"$python -m venv\" fails; on Debian and Ubuntu install the package python3-venv." >&2
        exit 1
    fi
fi
