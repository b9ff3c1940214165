#!/usr/bin/env bash
# Usage: chroot.sh path              prints the build chroot's directory, made if need be
#        chroot.sh run DIR COMMAND.. runs COMMAND in it as root, with DIR at /source, as the working directory
#
# The build chroot is the release that the kernel comes from, with gcc, make, sparse and that kernel's headers: kbuild's
# prebuilt tools need its libc. It is shared and never changes: a command can write below /source and /tmp only.
# In it, KERNEL_RELEASE names the kernel and KERNEL_BUILD its build directory.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

readonly PACKAGES=gcc,make,libc6-dev,sparse,perl

# make_chroot DIR RELEASE: fills DIR.
make_chroot() {
    debian_bootstrap "$1" apt "$PACKAGES,linux-headers-$2"
    mkdir -p "$1/source"
    install -m 755 "$here/sparse-kernel" "$1/usr/local/bin/"
    # kbuild asks this script, which the headers package lacks, whether sparse will do.
    install -m 755 /dev/stdin "$(readlink -f "$1"/usr/src/linux-headers-*-common)/scripts/checker-valid.sh" <<<$'#!/bin/sh\necho 1'
}

# run_inside ROOT DIR COMMAND...: the part of `run` that has a mount namespace of its own, which takes its mounts along.
run_inside() {
    local root=$1 dir=$2
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount --bind "$dir" "$root/source"
    exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
        KERNEL_RELEASE="$KERNEL_RELEASE" KERNEL_BUILD="/lib/modules/$KERNEL_RELEASE/build" \
        sh -c 'cd /source && exec "$@"' sh "${@:3}"
}

case ${1:-} in
    path | run) ;;
    inside) run_inside "${@:2}" ;;
    *)
        sed -n '2,3s/^# //p' "$0" >&2
        exit 2
        ;;
esac
if ((EUID != 0)); then
    echo "chroot.sh: making and entering a chroot takes root" >&2
    exit 1
fi
need_packages mmdebstrap
debian_need_keys
kernel=$("$here/kernel.sh")
read -r release version _ <<<"$kernel"
key=$(cache_key "$(declare -f make_chroot debian_bootstrap)" "$PACKAGES" "$here/sparse-kernel")
cache_prune 'chroot-*'
root=$(cache_build "chroot-$DEBIAN_RELEASE-$release-$version-$key" make_chroot "$release")
if [[ $1 == path ]]; then
    printf '%s\n' "$root"
else
    dir=$(readlink -e "$2") || { echo "chroot.sh: no directory '$2'" >&2; exit 2; }
    KERNEL_RELEASE=$release exec unshare --mount -- "$here/chroot.sh" inside "$root" "$dir" "${@:3}"
fi
