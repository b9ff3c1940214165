#!/usr/bin/env bash
# Usage: stress.sh [--kernel KERNEL] [--cpus N] [--root-port] [--results DIR] [ARGUMENT]...
#
# Builds the kernel module and the stress program, boots the virtual machine and runs the program in it with the arguments:
#     --seconds N     how long (10), or longer, until everything has happened
#     --seed N        what its random choices come from; it prints the one that it uses
#     --suspend-ms N  the longest time between two suspends of a device (60); 0: none
# Ends with a line "N passed, N failed". What the machine leaves goes to DIR (a temporary directory).
# --cpus: of the machine, 1 unless given; more mean real concurrency, but not all of it: see ../Vm/README.md.
# --root-port: ivshmem can be reset then; nvme always can.
# --kernel: as BAR_BROKER_VM_KERNEL (../Vm/kernel.sh).
# Exit status: the program's; boot.sh says what else it can be.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
module=$here/../../deploy/kmod/bar_lease

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
results=$scratch/results machine=() seconds=10 arguments=()
while (($#)); do
    case $1 in
        --kernel) export BAR_BROKER_VM_KERNEL=${2:?stress.sh: --kernel needs a name}; shift ;;
        --cpus) machine+=(--cpus "${2:?stress.sh: --cpus needs a number}"); shift ;;
        --root-port) machine+=(--root-port) ;;
        --results) results=${2:?stress.sh: --results needs a directory}; shift ;;
        --seconds) seconds=${2:?stress.sh: --seconds needs a number}; arguments+=("$1" "$2"); shift ;;
        *) arguments+=("$1") ;;
    esac
    shift
done

mkdir -p "$scratch/payload"
"$here/../Vm/module.sh" "$module" "$scratch/payload" >/dev/null
"$here/../Vm/module.sh" "$here/importer" "$scratch/payload" >/dev/null
gcc -std=gnu11 -O2 -g -Wall -Wextra -Werror -static -pthread -I "$module/include/uapi" \
    -o "$scratch/payload/bar_lease_stress" "$here"/stress/*.c "$here/vfio.c" "$here/check.c"

status=0
"$here/../Vm/boot.sh" --results "$results" --payload "$scratch/payload" --module "$scratch/payload/bar_lease.ko" \
    --module "$scratch/payload/importer.ko" \
    --timeout "$((seconds * 5 + 240))" "${machine[@]}" -- /bar_lease_stress "${arguments[@]}" | tee "$scratch/output" || status=$?

# Whatever stopped the run, the last line says what became of it.
if ! tail -n 1 "$scratch/output" | grep -qE '^[0-9]+ passed, [0-9]+ failed'; then
    echo "the stress program did not end ($status)"
    echo "0 passed, 1 failed"
elif ((status)) && tail -n 1 "$scratch/output" | grep -qE '^[0-9]+ passed, 0 failed'; then
    echo "all was well, but the machine did not end so ($status)"
    echo "0 passed, 1 failed"
fi
exit "$status"
