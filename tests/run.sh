#!/usr/bin/env bash
# Usage: run.sh [PART]...
#
# Runs all checks, or the named parts of them:
#   lint    C#, C and shell are formatted, and clean to their checkers
#   unit    unit tests; what this script is made of counts and ends what it runs
#   e2e     the scenarios on the simulated device
#   interop gRPC of others against ours: Python's, Node.js's and C++'s clients on our server, our client on C++'s server
#   module  the kernel module compiles for the newest kernel of each series without a warning, W=1 and sparse included; the broker's
#           copies of its uAPI and of VFIO's are right
#   install the module as an operator installs it: DKMS for these kernels, systemd and udev in a virtual machine
#   vm      the module's tests, and the scenarios behind VFIO, on an unmodified kernel in a virtual machine
# and, only when named:
#   vm-debug    the module's tests and the stress program on a kernel with KASAN, lockdep and kmemleak (built first: ten minutes)
#   vm-iommufd  the scenarios on that kernel, which has IOMMUFD as well
#   vm-kernels  the module on every kernel that the distribution has headers of: compiled as in `module`, by DKMS, and its tests
#   vm-old      what the broker says on kernels that are too old
#   vm-stress   leases under stress for minutes, on four machines (BAR_LEASE_STRESS_SECONDS each, 120)
#   vm-scenarios  all scenarios behind VFIO but the long ones; `vm` leaves out what is decided before the kernel is asked, or shown twice
#   vm-long     scenarios that take a minute or more each: devices that get stuck, the broker killed (BAR_BROKER_KILLS times, 10), not root
#   hostile     peers that mean harm, one kind after another, and what a well-behaved client notices of each
#   fuzz        what strangers send, mutated: BAR_BROKER_FUZZ_SECONDS (20) of each target, with BAR_BROKER_SEED if set
#   bench       figures, one a line: `bench NAME KEY=VALUE...`
#
# The scenarios of `vm` begin as soon as there are programs, and go on beside the other parts, on the second of two processors. What they came
# to is printed in its turn, the last.
#
# Needs the .NET SDK, git and root; everything else comes from the distribution's packages and npm. What is slow to make is kept
# in ~/.cache/bar-broker (BAR_BROKER_CACHE). Logs stay in TestResults when something failed.
# The last line is `N passed, N failed`; the exit status is 0 if none failed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
# A shell without job control starts what it puts into the background deaf to SIGINT and SIGQUIT, with all that this starts in turn.
ignored=$(awk '/^SigIgn:/ { print $2 }' /proc/$$/status)
if ((16#$ignored & 2#10)); then
    exec env --default-signal=INT,QUIT "$0" "$@"
fi
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
# shellcheck source=lib/packages.sh
. "$root/tests/lib/packages.sh"
# shellcheck source=lib/cache.sh
. "$root/tests/lib/cache.sh"
# shellcheck source=lib/buf.sh
. "$root/tests/lib/buf.sh"
# shellcheck source=lib/stage.sh
. "$root/tests/lib/stage.sh"
# shellcheck source=lib/examples.sh
. "$root/tests/lib/examples.sh"
# shellcheck source=lib/sides.sh
. "$root/tests/lib/sides.sh"
# shellcheck source=lib/tally.sh
. "$root/tests/lib/tally.sh"
# shellcheck source=lib/parts.sh
. "$root/tests/lib/parts.sh"
# shellcheck source=lib/kernels.sh
. "$root/tests/lib/kernels.sh"
# shellcheck source=lib/stress.sh
. "$root/tests/lib/stress.sh"
# shellcheck source=lib/fuzz.sh
. "$root/tests/lib/fuzz.sh"
# shellcheck source=lib/interop.sh
. "$root/tests/lib/interop.sh"
# shellcheck source=lib/bench.sh
. "$root/tests/lib/bench.sh"
# shellcheck source=lib/hostile.sh
. "$root/tests/lib/hostile.sh"

readonly ALL_PARTS=(lint unit e2e interop module install vm)
readonly MORE_PARTS=(vm-debug vm-iommufd vm-kernels vm-old vm-stress vm-scenarios vm-long hostile fuzz bench)

parts=("$@")
((${#parts[@]})) || parts=("${ALL_PARTS[@]}")
for part in "${parts[@]}"; do
    if [[ " ${ALL_PARTS[*]} ${MORE_PARTS[*]} " != *" $part "* ]]; then
        echo "run.sh: no part '$part'; there are: ${ALL_PARTS[*]} ${MORE_PARTS[*]}" >&2
        exit 2
    fi
done
if ((EUID != 0)); then
    echo "run.sh: root is needed: tests start processes under several users, and a chroot" >&2
    exit 2
fi

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
results=$root/TestResults
rm -rf "$results"
mkdir -p "$results"
# Not below the checkout: other users have to reach it.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/bar-broker-tests.XXXXXX")
chmod 755 "$scratch"
# clean_up: at exit, however it comes.
clean_up() {
    trap '' HUP INT TERM
    end_launched
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

begin_early "${parts[@]}"
for part in "${parts[@]}"; do
    echo "$part:"
    "part_${part//-/_}"
done
join_all
# Nobody looks for the logs of what went well.
((failed)) || rm -rf "$results"
verdict
