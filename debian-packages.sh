#!/usr/bin/env bash
# Installs the missing of debian-packages.txt by apt where it may, else names them; called by `make setup`, never fails it.
set -uo pipefail

list=$(dirname "$0")/debian-packages.txt

missing() {
    local package command tests
    while read -r package command tests; do
        case $package in "" | "#"*) continue ;; esac
        [ -e "$command" ] || command -v "$command" >/dev/null || printf '%s\t%s\n' "$package" "$tests"
    done <"$list"
}

names() {
    cut -f 1 | paste -s -d ' '
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt() {
        apt-get --quiet=2 --yes -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o DPkg::Lock::Timeout=60 "$@" >/dev/null 2>&1
    }
    echo "Installing $(names <<<"$wanted") (apt) ..."
    # One by one after a failure: a package that this release of Debian lacks does not keep the others away.
    apt update
    # shellcheck disable=SC2046 # one argument for each name
    apt install --no-install-recommends $(names <<<"$wanted") ||
        for package in $(names <<<"$wanted"); do
            apt install --no-install-recommends "$package"
        done
    wanted=$(missing)
fi

while IFS=$'\t' read -r package tests; do
    [ -z "$package" ] || echo "The package $package is missing: $tests will skip."
done <<<"$wanted"
[ -z "$wanted" ] || echo "On Debian or Ubuntu: apt-get install $(names <<<"$wanted")"
exit 0
