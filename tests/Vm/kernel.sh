#!/usr/bin/env bash
# Usage: kernel.sh [--list]
#
# Makes sure that the newest Debian kernel of our series that has headers is in the cache, and prints
#     RELEASE PACKAGE-VERSION DIR
# DIR holds vmlinux, config and lib/modules/RELEASE (with modules.dep). "Newest" is decided afresh once a day.
# BAR_BROKER_VM_KERNEL=RELEASE chooses another one; --list prints those there are, newest last.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

# list_kernels: prints the releases (7.3.4+deb13-amd64) that can be booted and built for, newest last.
list_kernels() {
    debian_apt apt-cache pkgnames "linux-headers-$KERNEL_SERIES." |
        sed -n "s/^linux-headers-\($KERNEL_SERIES\.[0-9.]*+deb[0-9]*-$DEBIAN_ARCH\)\$/\1/p" | sort -V
}

# package_version RELEASE: prints the version that the release's packages share.
package_version() {
    debian_apt apt-cache show --no-all-versions "linux-headers-$1" "linux-binary-$1" "linux-modules-$1" |
        sed -n 's/^Version: //p' | sort -V | tail -n 1
}

# fetch_kernel DIR RELEASE VERSION: fills DIR.
fetch_kernel() {
    local dir=$1 release=$2 version=$3
    local unpacked=$dir/unpacked
    mkdir -p "$unpacked" "$dir/lib/modules"
    # linux-image only depends on these; the vmlinuz, the modules and their indices are in one each.
    debian_fetch "$unpacked" "linux-binary-$release=$version" "linux-modules-$release=$version" "linux-base-$release=$version"
    mv "$unpacked/usr/lib/modules/$release" "$dir/lib/modules/"
    mv "$dir/lib/modules/$release/vmlinuz" "$dir/lib/modules/$release/config" "$dir"
    rm -rf "$unpacked"
    depmod --basedir "$dir" "$release"
    unpack_image "$dir/vmlinuz" "$dir/vmlinux"
}

# unpack_image FILE OUT: the ELF image inside a bzImage: the same kernel, but nothing to decompress under emulation (three
# seconds). The setup header says where it lies (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, _length).
unpack_image() {
    local sectors offset length start magic decompress
    sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
    offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
    length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
    start=$(((sectors + 1) * 512 + offset))
    magic=$(od -An -tx1 -j "$start" -N 4 "$1" | tr -d ' ')
    case $magic in
        28b52ffd) decompress=zstd ;;
        fd377a58) decompress=xz ;;
        1f8b*) decompress=gzip ;;
        *)
            echo "unpack_image: payload of $1 begins with $magic, which is neither zstd, xz nor gzip; add it here"
            return 1
            ;;
    esac
    # The payload ends in its unpacked size, four bytes that are not the compressor's.
    head -c $((start + length - 4)) "$1" | tail -c +$((start + 1)) | "$decompress" -dc >"$2"
}

# choose_kernel: prints RELEASE VERSION of the kernel to use.
choose_kernel() {
    local kernels release version
    kernels=$(list_kernels)
    release=${BAR_BROKER_VM_KERNEL:-$(tail -n 1 <<<"$kernels")}
    if [[ -z $release ]] || ! grep -qxF "$release" <<<"$kernels"; then
        echo "kernel.sh: $DEBIAN_RELEASE-backports has no kernel '${release:-$KERNEL_SERIES.x}' with headers; it has:" "${kernels:-none}" >&2
        return 1
    fi
    version=$(package_version "$release")
    printf '%s %s\n' "$release" "$version"
}

need_packages kmod xz-utils zstd
debian_refresh
if [[ ${1:-} == --list ]]; then
    list_kernels
    exit
fi
# apt takes half a second to say the same until its lists change.
choice=$(debian_apt_dir)/kernel-${BAR_BROKER_VM_KERNEL:-newest}
if [[ ! $choice -nt $(debian_apt_dir)/updated ]]; then
    choose_kernel >"$choice.$$"
    mv "$choice.$$" "$choice"
fi
read -r release version <"$choice"
dir=$(cache_build "kernel-$release-$version-$(cache_key "$(declare -f fetch_kernel unpack_image)")" fetch_kernel "$release" "$version")
printf '%s %s %s\n' "$release" "$version" "$dir"
