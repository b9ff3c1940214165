#!/usr/bin/env bash
# Usage: kernel.sh [--list]
#
# Makes sure that the newest Debian kernel of our series that has headers is in the cache, and prints
#     RELEASE PACKAGE-VERSION DIR
# DIR holds vmlinuz, config and lib/modules/RELEASE (with modules.dep). "Newest" is decided afresh once a day.
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
}

need_packages kmod xz-utils
debian_refresh
kernels=$(list_kernels)
if [[ ${1:-} == --list ]]; then
    printf '%s\n' "$kernels"
    exit
fi
release=${BAR_BROKER_VM_KERNEL:-$(tail -n 1 <<<"$kernels")}
if [[ -z $release ]] || ! grep -qxF "$release" <<<"$kernels"; then
    echo "kernel.sh: $DEBIAN_RELEASE-backports has no kernel '${release:-$KERNEL_SERIES.x}' with headers; it has:" "${kernels:-none}" >&2
    exit 1
fi
version=$(package_version "$release")
dir=$(cache_build "kernel-$release-$version" fetch_kernel "$release" "$version")
printf '%s %s %s\n' "$release" "$version" "$dir"
