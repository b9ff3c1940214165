#!/usr/bin/env bash
# Usage: chroot.sh id                prints a word for all that a build in it depends on, but for what is built
#        chroot.sh path              prints its directory, for who reads headers there or lays something over it
#        chroot.sh run DIR COMMAND.. runs COMMAND in it as root, with DIR at /source, as the working directory
#
# The build chroot is the release that the kernels come from, with gcc, make, sparse, what it takes to build a kernel, and
# the headers of every kernel there is (kernel.sh --list): kbuild's prebuilt tools need its libc. It is shared and never
# changes: a command can write below /source and /tmp only.
# In it, KERNEL_RELEASE names the kernel that BAR_BROKER_VM_KERNEL chooses, and KERNEL_BUILD its build directory.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

readonly PACKAGES=gcc,make,libc6-dev,sparse,perl,flex,bison,bc,libelf-dev

# make_chroot DIR RELEASE...: fills DIR.
make_chroot() {
    local scripts packages
    packages=$PACKAGES$(printf ',linux-headers-%s' "${@:2}")
    debian_bootstrap "$1" apt "$packages"
    mkdir -p "$1/source" "$1/kernel"
    install -m 755 "$here/sparse-kernel" "$1/usr/local/bin/"
    # kbuild asks this script, which the headers packages lack, whether sparse will do.
    for scripts in "$1"/usr/src/linux-headers-*-common/scripts; do
        install -m 755 /dev/stdin "$scripts/checker-valid.sh" <<<$'#!/bin/sh\necho 1'
    done
}

# run_inside ROOT DIR BUILD COMMAND...: the part of `run` that has a mount namespace of its own, which takes its mounts along.
# BUILD: what lies at /kernel, if anything.
run_inside() {
    local root=$1 dir=$2 build=$3
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t tmpfs tmpfs "$root/tmp"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount --bind "$dir" "$root/source"
    if [[ -n $build ]]; then
        mount --bind "$build" "$root/kernel"
        mount -o remount,bind,ro "$root/kernel"
    fi
    exec chroot "$root" /usr/bin/env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 \
        KERNEL_RELEASE="$KERNEL_RELEASE" KERNEL_BUILD="$KERNEL_BUILD" \
        sh -c 'cd /source && exec "$@"' sh "${@:4}"
}

case ${1:-} in
    id | path | run) ;;
    inside) run_inside "${@:2}" ;;
    *)
        sed -n '2,4s/^# //p' "$0" >&2
        exit 2
        ;;
esac
if ((EUID != 0)); then
    echo "chroot.sh: making and entering a chroot takes root" >&2
    exit 1
fi
need_packages mmdebstrap
debian_need_keys
list=$("$here/kernel.sh" --list)
mapfile -t releases < <(cut -d ' ' -f 1 <<<"$list")
key=$(cache_key "$(declare -f make_chroot debian_bootstrap)" "$PACKAGES" "$here/sparse-kernel" "$list")
cache_prune 'chroot-*'
root=$(cache_build "chroot-$DEBIAN_RELEASE-$key" make_chroot "${releases[@]}")
if [[ $1 == path ]]; then
    printf '%s\n' "$root"
    exit
fi
choice=${BAR_BROKER_VM_KERNEL:-${releases[-1]}}
build=''
if [[ $choice == debug ]]; then
    # It was built here, and brings its own.
    kernel=$("$here/kernel.sh")
    read -r KERNEL_RELEASE _ kernel_dir <<<"$kernel"
    KERNEL_BUILD=/kernel
    build=$kernel_dir/build
    choice=$(basename "$kernel_dir")
elif grep -qxF "$choice" < <(printf '%s\n' "${releases[@]}"); then
    KERNEL_RELEASE=$choice
    KERNEL_BUILD=/lib/modules/$choice/build
else
    echo "chroot.sh: there are no headers of '$choice'; there are: ${releases[*]}" >&2
    exit 1
fi
if [[ $1 == id ]]; then
    printf '%s/%s\n' "$(basename "$root")" "$choice"
    exit
fi
dir=$(readlink -e "$2") || { echo "chroot.sh: no directory '$2'" >&2; exit 2; }
export KERNEL_RELEASE KERNEL_BUILD
exec unshare --mount -- "$here/chroot.sh" inside "$root" "$dir" "$build" "${@:3}"
