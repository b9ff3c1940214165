#!/usr/bin/env bash
# Usage: debug-selftest.sh RESULTS
#
# Proves that the debug kernel finds what it is there to find, and that a run then fails: boots it once, with a module that
# makes one mistake of each kind. What the machine leaves goes to RESULTS. Ends with a line "N passed, N failed".
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export BAR_BROKER_VM_KERNEL=debug

results=${1:?debug-selftest.sh: RESULTS is missing}
passed=0
failed=0

# check WHAT COMMAND...: COMMAND has to succeed.
check() {
    if "${@:2}"; then
        echo "ok    $1"
        passed=$((passed + 1))
    else
        echo "FAIL  $1"
        failed=$((failed + 1))
    fi
}

reported() {
    grep -q "$1" "$results/verdict"
}

payload=$(mktemp -d)
trap 'rm -rf "$payload"' EXIT
"$here/module.sh" "$here/faulty" "$payload" >/dev/null
status=0
"$here/boot.sh" --results "$results" --payload "$payload" -- sh -c 'insmod /faulty.ko && rmmod faulty' || status=$?

check 'a run with findings fails' test "$status" -eq 121
check 'KASAN reports a use after free' reported 'BUG: KASAN: slab-use-after-free in faulty_init'
check 'sleeping in atomic context is reported' reported 'BUG: sleeping function called from invalid context'
check 'lockdep reports locks in two orders' reported 'WARNING: possible circular locking dependency detected'
check 'lockdep having turned itself off is told' reported '^lockdep turned itself off'
check 'kmemleak reports what a module left when it went' reported '^leaked: [1-9]'
echo "$passed passed, $failed failed"
((failed == 0))
