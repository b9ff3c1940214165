#!/usr/bin/env bash
# Usage: run.sh [--cpus N] [--kernel KERNEL] [RESULTS [NAME]]
#
# Builds the kernel module and its test, boots the virtual machine and runs the test in it, all cases or those whose name
# has NAME in it. Ends with a line "N passed, N failed". What the machine leaves goes to RESULTS (a temporary directory).
# --cpus: of the machine, 1 unless given; more mean real concurrency, for stress.
# --kernel: as BAR_BROKER_VM_KERNEL (Vm/kernel.sh): the newest unless given; `debug` is the one that finds mistakes.
# Exit status: the test's; boot.sh says what else it can be.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
module=$here/../../deploy/kmod/bar_lease

cpus=1
while [[ ${1:-} == --* ]]; do
    case $1 in
        --cpus) cpus=${2:?run.sh: --cpus needs a number} ;;
        --kernel) export BAR_BROKER_VM_KERNEL=${2:?run.sh: --kernel needs a name} ;;
        *) echo "run.sh: unknown option '$1'" >&2; exit 2 ;;
    esac
    shift 2
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
results=${1:-$scratch/results}

mkdir -p "$scratch/payload"
"$here/../Vm/module.sh" --sparse "$module" >/dev/null
"$here/../Vm/module.sh" "$module" "$scratch/payload" >/dev/null
for aid in hold_fault page_type importer; do
    "$here/../Vm/module.sh" "$here/$aid" "$scratch/payload" >/dev/null
done
gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -static -pthread -I "$module/include/uapi" \
    -o "$scratch/payload/bar_lease_test" "$here"/*.c

status=0
"$here/../Vm/boot.sh" --results "$results" --payload "$scratch/payload" --module "$scratch/payload/bar_lease.ko" \
    --module "$scratch/payload/importer.ko" --env IMPORTER_KO=/importer.ko --cpu EPYC \
    --env BAR_LEASE_KO=/bar_lease.ko --env HOLD_FAULT_KO=/hold_fault.ko --env PAGE_TYPE_KO=/page_type.ko \
    --cpus "$cpus" -- /bar_lease_test "${@:2}" | tee "$scratch/output" || status=$?

# Whatever stopped the run, the last line says what became of the tests.
if ! tail -n 1 "$scratch/output" | grep -qE '^[0-9]+ passed, 0 failed'; then
    ((status)) || status=1
elif ((status)); then
    echo "every case passed, but the machine did not end well ($status)"
    echo "0 passed, 1 failed"
fi
if ! tail -n 1 "$scratch/output" | grep -qE '^[0-9]+ passed, [0-9]+ failed'; then
    echo "the test did not end"
    echo "0 passed, 1 failed"
fi
exit "$status"
