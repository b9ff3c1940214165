#!/usr/bin/env bash
# Usage: kernel.sh [--list | --list-old]
#
# Makes sure that a Debian kernel is in the cache, and prints
#     RELEASE PACKAGE-VERSION DIR
# DIR holds image (what the emulator starts), config and lib/modules/RELEASE (with modules.dep). Which kernel BAR_BROKER_VM_KERNEL says:
#     nothing   the newest of our series that has headers; decided afresh once a day
#     RELEASE   another one of these; --list prints them with their versions, newest last
#     debug     the newest, built with everything that finds mistakes (debug-kernel.sh)
#     6.1, ...  a stable release's own, which is too old for us; --list-old prints these names
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

# list_kernels: prints RELEASE VERSION (7.3.4+deb13-amd64 7.3.4-1~bpo13+1) of what can be booted and built for, newest last.
list_kernels() {
    local headers
    mapfile -t headers < <(debian_apt apt-cache pkgnames "linux-headers-$KERNEL_SERIES." |
        grep -xE "linux-headers-$KERNEL_SERIES\.[0-9.]*\+deb[0-9]*-$DEBIAN_ARCH")
    ((${#headers[@]})) || return 0
    debian_apt apt-cache show --no-all-versions "${headers[@]}" |
        awk '$1 == "Package:" { sub("^linux-headers-", "", $2); release = $2 } $1 == "Version:" { print release, $2 }' | sort -V
}

# kernels: prints the same. apt takes half a second to say it until its lists change.
kernels() {
    local list
    list=$(debian_apt_dir)/kernels
    if [[ ! $list -nt $(debian_apt_dir)/updated ]]; then
        list_kernels >"$list.$$"
        mv "$list.$$" "$list"
    fi
    cat "$list"
}

# fetch_old_kernel DIR PACKAGE VERSION RELEASE: fills DIR; before 6.13 or so one package has everything.
fetch_old_kernel() {
    local unpacked=$1/unpacked modules
    mkdir -p "$unpacked" "$1/lib/modules"
    debian_fetch "$unpacked" "$2=$3"
    for modules in "$unpacked"/{usr/,}lib/modules/"$4"; do
        if [[ -d $modules ]]; then
            mv "$modules" "$1/lib/modules/"
        fi
    done
    mv "$unpacked/boot/vmlinuz-$4" "$1/vmlinuz"
    mv "$unpacked/boot/config-$4" "$1/config"
    rm -rf "$unpacked"
    depmod --basedir "$1" "$4"
    unpack_image "$1/vmlinuz" "$1/image"
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
    unpack_image "$dir/vmlinuz" "$dir/image"
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

# our_kernel [RELEASE]: the newest kernel of our series, or RELEASE.
our_kernel() {
    local list release version dir
    list=$(kernels)
    read -r release version < <(awk -v wanted="${1:-}" '!wanted || $1 == wanted' <<<"$list" | tail -n 1) || true
    if [[ -z $release ]]; then
        echo "kernel.sh: $DEBIAN_RELEASE-backports has no kernel '${1:-$KERNEL_SERIES.x}' with headers; it has: ${list//$'\n'/, }" >&2
        return 1
    fi
    dir=$(cache_build "kernel-$release-$version-$(cache_key "$(declare -f fetch_kernel unpack_image)")" fetch_kernel "$release" "$version")
    printf '%s %s %s\n' "$release" "$version" "$dir"
}

# old_suite SERIES: prints the release whose own kernels are of that series, if one is.
old_suite() {
    printf '%s\n' "${OLD_KERNELS[@]}" | awk -v series="$1" '$1 == series { print $2 }'
}

# old_kernel SERIES SUITE: that release's kernel.
old_kernel() {
    local package version release dir
    debian_use "$2"
    debian_refresh
    # The package without a version in its name depends on the one that is the kernel.
    read -r package version < <(debian_apt apt-cache show --no-all-versions "linux-image-$DEBIAN_ARCH" |
        sed -n 's/^Depends: \(linux-image-[^ ]*\) (= \([^)]*\)).*/\1 \2/p') || true
    release=${package#linux-image-}
    if [[ $release != "$1".* ]]; then
        echo "kernel.sh: the kernel of $2 is '$release', which is no $1" >&2
        return 1
    fi
    dir=$(cache_build "kernel-$release-$version-$(cache_key "$(declare -f fetch_old_kernel unpack_image)")" \
        fetch_old_kernel "$package" "$version" "$release")
    printf '%s %s %s\n' "$release" "$version" "$dir"
}

need_packages kmod xz-utils zstd
cache_prune 'kernel-*'
choice=${BAR_BROKER_VM_KERNEL:-}
suite=$(old_suite "$choice")
if [[ ${1:-} == --list-old ]]; then
    printf '%s\n' "${OLD_KERNELS[@]}" | cut -d ' ' -f 1
elif [[ ${1:-} == --list ]]; then
    debian_refresh
    kernels
elif [[ $choice == debug ]]; then
    exec "$here/debug-kernel.sh"
elif [[ -n $suite ]]; then
    old_kernel "$choice" "$suite"
else
    debian_refresh
    our_kernel "$choice"
fi
