#!/usr/bin/env bash
# Usage: demo.sh [--vm]
#
# Two unprivileged clients lease two windows of one BAR; an admin takes one of them back, with a gRPC client that isn't ours.
# On the simulated device, or with --vm on an unmodified kernel, behind VFIO, in a virtual machine.
#
# Needs the .NET SDK and root; everything else comes from the distribution's packages and npm.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
tests=$here/../tests
# shellcheck source=../tests/lib/packages.sh
. "$tests/lib/packages.sh"
# shellcheck source=../tests/lib/cache.sh
. "$tests/lib/cache.sh"
# shellcheck source=../tests/lib/buf.sh
. "$tests/lib/buf.sh"
# shellcheck source=../tests/lib/stage.sh
. "$tests/lib/stage.sh"

readonly GUEST_STAGE=/opt/bar-broker-demo
# What the windows of demo/vm.json start with, put there from outside of the machine.
readonly LEFT_OFFSET=$((8 << 20)) RIGHT_OFFSET=$((32 << 20))

case ${1:-} in
    '') machine=simulated ;;
    --vm) machine=vm ;;
    *)
        sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
if ((EUID != 0)); then
    echo "demo.sh: root is needed, to start the broker and clients under different users" >&2
    exit 2
fi

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# Not below the checkout: other users have to reach it.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/bar-broker-demo.XXXXXX")
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
payload=$scratch/payload
stage=$payload$GUEST_STAGE

stage_demo() {
    local buf options=()
    # Compiling ahead of time pays under emulation only.
    [[ $machine == vm ]] || options=(-p:PublishReadyToRun=false)
    need_packages gcc libc6-dev
    publish_program Broker "$stage/broker" "${options[@]}"
    publish_program deploy/demo "$stage/demo" "${options[@]}"
    cp "$here/demo/run.sh" "$here/demo/$machine.json" "$stage"
    buf=$(buf_binary)
    install -m 755 "$buf" "$stage/buf"
    make_readable "$payload"
}

demo_in_vm() {
    local module results=$scratch/results
    module=$("$tests/Vm/module.sh")
    truncate -s 64M "$scratch/memory"
    write_word "$scratch/memory" "$LEFT_OFFSET" a11ce001
    write_word "$scratch/memory" "$RIGHT_OFFSET" 0b0b0002
    echo "Booting the machine; its ivshmem has a11ce001 and 0b0b0002 at the start of the windows ..."
    "$tests/Vm/boot.sh" --results "$results" --timeout 900 --cpus 2 --payload "$payload" --module "$module" --ivshmem "$scratch/memory" \
        -- sh "$GUEST_STAGE/run.sh" "$GUEST_STAGE" "$GUEST_STAGE/vm.json" dotnet
    echo
    echo "Outside of the machine, in the memory behind the BAR, 0x100 past the start of each window:"
    printf '  left  %d\n  right %d\n' \
        "0x$(read_word "$results/ivshmem.bin" $((LEFT_OFFSET + 256)))" "0x$(read_word "$results/ivshmem.bin" $((RIGHT_OFFSET + 256)))"
}

# write_word FILE OFFSET HEX: 32 bits, little-endian.
write_word() {
    perl -e 'print pack("V", hex shift)' "$3" | dd of="$1" bs=4 seek=$(($2 / 4)) conv=notrunc status=none
}

read_word() {
    od -A n -t x4 -j "$2" -N 4 "$1" | tr -d ' '
}

echo "Building ..."
stage_demo
if [[ $machine == vm ]]; then
    demo_in_vm
else
    dotnet=$(shared_dotnet "$scratch/dotnet")
    sh "$stage/run.sh" "$stage" "$stage/simulated.json" "$dotnet"
fi
