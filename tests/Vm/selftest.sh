#!/usr/bin/env bash
# Usage: selftest.sh
#
# Proves that the virtual machine reports what happened in it: that what goes in arrives, what comes out is complete, and
# that each way of failing is told apart. Prints how long a boot takes. About two minutes.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=report.sh
. "$here/report.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# check WHAT COMMAND...: COMMAND has to succeed.
check() {
    if "${@:2}"; then
        echo "ok    $1"
    else
        echo "FAIL  $1"
        failures=$((failures + 1))
    fi
}

# boot NAME ARGS...: boots with the results in scratch/NAME; sets `status`, prints nothing.
boot() {
    status=0
    "$here/boot.sh" --results "$scratch/$1" "${@:2}" >"$scratch/$1.out" 2>"$scratch/$1.err" || status=$?
}

is() {
    [[ $1 == "$2" ]] || { echo "      is '$1', should be '$2'"; return 1; }
}

# reports LINE: whether a kernel log that consists of LINE has a report.
reports() {
    printf '%s\r\n' "$1" >"$scratch/line"
    [[ -n $(kernel_reports "$scratch/line") ]]
}

silent() {
    ! reports "$@"
}

# dotnet_hello DIR: a program of a line, built by this machine's SDK.
dotnet_hello() {
    mkdir -p "$scratch/hello"
    cat >"$scratch/hello/hello.csproj" <<'EOF'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <TargetFramework>net10.0</TargetFramework>
    <UseAppHost>false</UseAppHost>
  </PropertyGroup>
</Project>
EOF
    echo 'System.IO.File.WriteAllText("/results/dotnet", "hello");' >"$scratch/hello/hello.cs"
    dotnet publish --nologo -v quiet "$scratch/hello/hello.csproj" -o "$1"
}

# seconds_between FILE FILE: by their times of change.
seconds_between() {
    awk "BEGIN { printf \"%.1f\", $(stat -c %.Y "$2") - $(stat -c %.Y "$1") }"
}

check 'a WARNING counts' reports '[   12.345678] WARNING: mm/memory.c:1 at f+0x1/0x2'
check 'a BUG counts' reports '[   12.345678] BUG: KASAN: use-after-free in f'
check 'a report with a caller column counts' reports '[   12.345678][  T123] BUG: sleeping function called'
check 'a lockdep report counts' reports '[   12.345678] WARNING: possible circular locking dependency detected'
check 'a stalled task counts' reports '[  122.345678] INFO: task x:1 blocked for more than 120 seconds.'
check 'the lockdep banner does not count' silent '[    0.000000] Lock dependency validator: lockdep'
check 'a program that prints the word does not count' silent '[   12.345678] bar-test: WARNING: not the kernel'

dotnet_hello "$scratch/payload/opt/hello"
mkdir -p "$scratch/over/opt"
echo lower >"$scratch/payload/opt/layer"
echo upper >"$scratch/over/opt/layer"
cat >"$scratch/payload/opt/check.sh" <<'EOF'
echo started >/results/started
dotnet /opt/hello/hello.dll
cat /opt/layer
echo "$WORDS"
echo "$1"
setpriv --reuid alice --regid alice --init-groups sh -c 'id -nu; id -nG; echo mine >/results/alice'
for function in $BAR_BROKER_VM_IVSHMEM $BAR_BROKER_VM_EDU $BAR_BROKER_VM_NVME; do
    basename "$(readlink "/sys/bus/pci/devices/$function/driver")"
done
echo problem >&2
exit 7
EOF
touch "$scratch/begin"
boot good --payload "$scratch/payload" --payload "$scratch/over" --env $'WORDS=two  "words"\nand a line' -- sh /opt/check.sh "a'b \$c"
printf '%s\n' upper 'two  "words"' 'and a line' "a'b \$c" alice 'alice bar-lease' vfio-pci vfio-pci vfio-pci problem >"$scratch/expected"
check "COMMAND's status passes through" is "$status" 7
check 'payloads, environment, arguments and devices arrive, and nothing else is printed' diff "$scratch/expected" "$scratch/good.out"
check 'output.log is what was printed' cmp "$scratch/good.out" "$scratch/good/output.log"
check 'results come out, with their owners' is "$(stat -c %u "$scratch/good/alice")" 1001
check '.NET runs' is "$(cat "$scratch/good/dotnet")" hello
check "the memory behind ivshmem's BAR 2 is there" is "$(stat -c %s "$scratch/good/ivshmem.bin")" $((64 << 20))

boot warning -- sh -c 'echo "WARNING: injected" >/dev/kmsg; exit 0'
check 'a WARNING in the kernel log fails a run that succeeded' is "$status" 121
check 'and is quoted' grep -q 'WARNING: injected' "$scratch/warning/verdict"

boot panic -- sh -c 'echo c >/proc/sysrq-trigger; sleep 100'
check 'a panic is a kernel report, at once' is "$status" 121

boot silent -- poweroff -f
check 'an end without a word is told apart' is "$status" 122

echo 'not a module' >"$scratch/bad.ko"
boot module --module "$scratch/bad.ko" -- true
check 'a module that does not load is told apart' is "$status" 123

boot slow --timeout 10 -- sleep 1000
check 'a timeout is told apart' is "$status" 124

boot usage --results "$scratch/x" --payload /nowhere -- true
check 'bad usage is told apart' is "$status" 120

BAR_BROKER_VM_KERNEL=none boot kernel -- true
check 'a kernel that there is not is told apart' is "$status" 120

echo "seconds from boot.sh to COMMAND: $(seconds_between "$scratch/begin" "$scratch/good/started")," \
    "then to the first output of .NET: $(seconds_between "$scratch/good/started" "$scratch/good/dotnet")"
if ((failures)); then
    cp -r "$scratch" "${TMPDIR:-/tmp}/bar-broker-vm-selftest.$$"
    echo "$failures failed; everything is in ${TMPDIR:-/tmp}/bar-broker-vm-selftest.$$"
    exit 1
fi
