#!/usr/bin/env bash
# Usage: qemu.sh
#
# Makes sure that the emulator is in the cache, and prints the path of its qemu-system-x86_64.
# It comes from the release that the kernel comes from (debian.sh), not from the machine's own: qemu 7.2 kills guests with
# several processors now and then, and is slower. It is unpacked into a directory of its own and started through its own
# loader; nothing of it is installed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

# make_qemu DIR VERSION: fills DIR with the emulator, what it depends on, and the program that starts it.
make_qemu() {
    local loader=/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
    debian_bootstrap "$1" extract "qemu-system-x86=$2" --aptopt='Apt::Install-Recommends "false"'
    install -D -m 755 /dev/stdin "$1/bin-for-host/qemu-system-x86_64" <<WRAPPER
#!/bin/sh
root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
exec "\$root$loader" --library-path "\$root/usr/lib/x86_64-linux-gnu" "\$root/usr/bin/qemu-system-x86_64" \\
    -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" "\$@"
WRAPPER
    "$1/bin-for-host/qemu-system-x86_64" --version
}

if ((EUID != 0)); then
    echo "qemu.sh: unpacking the emulator takes root" >&2
    exit 1
fi
need_packages mmdebstrap
debian_refresh
version=$(debian_apt apt-cache policy qemu-system-x86 | awk '$1 == "Candidate:" { print $2 }')
if [[ -z $version || $version == '(none)' ]]; then
    echo "qemu.sh: $DEBIAN_RELEASE has no package qemu-system-x86" >&2
    exit 1
fi
key=$(cache_key "$(declare -f make_qemu debian_bootstrap)" "$version")
cache_prune 'qemu-*'
root=$(cache_build "qemu-$DEBIAN_RELEASE-$key" make_qemu "$version")
printf '%s\n' "$root/bin-for-host/qemu-system-x86_64"
