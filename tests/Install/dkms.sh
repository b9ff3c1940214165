#!/usr/bin/env bash
# Usage: dkms.sh LAYERS WORK SOURCE OUT RELEASE...
#
# The part of run.sh that has a mount namespace of its own. LAYERS (a:b:c, the topmost first) are a root file system with
# DKMS, a compiler and kernel headers, which stay as they are; WORK is an empty directory. Adds the module from SOURCE, has
# DKMS do for each RELEASE, and for the kernel that is too old, what a kernel's installation would, and copies lib/modules to OUT.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=check.sh
. "$here/check.sh"

readonly PACKAGE=bar_lease
layers=$1 work=$2 source=$3 out=$4
shift 4
root=$work/root

inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
}

# the_module RELEASE: prints the path of the module that is installed for a kernel.
the_module() {
    find "$root/usr/lib/modules/$1/updates/dkms" -name "$PACKAGE.ko*" 2>/dev/null
}

# installed RELEASE: DKMS says so, and modprobe would find it.
installed() {
    inside dkms status "$PACKAGE" -k "$1" | grep -q ': installed' && [[ -n $(the_module "$1") ]] &&
        grep -q "/$PACKAGE.ko" "$root/usr/lib/modules/$1/modules.dep"
}

# passed_over RELEASE: DKMS leaves the kernel alone, and does not call that a failure.
passed_over() {
    [[ -z $(the_module "$1") ]] && grep -q 'was skipped' <<<"$said"
}

# new_enough RELEASE
new_enough() {
    [[ $(printf '%s\n' 7.1 "$1" | sort -V | head -n 1) == 7.1 ]]
}

# too_old_releases: prints of the kernels whose headers there are those that the module can't be built for.
too_old_releases() {
    local build release
    for build in "$root"/usr/lib/modules/*/build; do
        release=$(basename "$(dirname "$build")")
        new_enough "$release" || printf '%s\n' "$release"
    done
}

mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/overlay" "$root"
mount -t overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/overlay" overlay "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
cp -R "$source" "$root/tmp/$PACKAGE"

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$source/dkms.conf")
check "the module's package has the broker's version" \
    is "$version" "$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$here/../../Directory.Build.props")"
check 'DKMS takes the source' inside dkms add "/tmp/$PACKAGE"
too_old=$(too_old_releases)
check 'one kernel is too old' is "$(wc -w <<<"$too_old")" 1
for release in "$@" $too_old; do
    status=0
    # The index of the kernel's own modules, which its package makes: DKMS adds to it, but does not begin one.
    inside depmod "$release"
    said=$(inside dkms autoinstall -k "$release" 2>&1) || status=$?
    check "DKMS ends well for $release" is "$status" 0
    if new_enough "$release"; then
        check "the module is built and installed for $release" installed "$release"
    else
        check "$release is passed over, as it is too old" passed_over "$release"
    fi
    ((status == 0)) || printf '%s\n' "$said"
done

newest=$(find "$root/usr/lib/modules" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)
cp -R "$source" "$root/tmp/by-hand"
check 'make by hand builds it against the headers that KDIR names' inside make -s -C /tmp/by-hand "KDIR=/lib/modules/$newest/build"
check 'make install puts it below lib/modules' \
    inside make -s -C /tmp/by-hand install "KDIR=/lib/modules/$newest/build" INSTALL_MOD_PATH=/tmp/installed DEPMOD=true
check 'and there it is' test -n "$(find "$root/tmp/installed" -name "$PACKAGE.ko*")"
check 'make says which headers are missing' says "linux-headers-$(uname -r)" inside make -C /tmp/by-hand

cp -R "$root/usr/lib/modules/." "$out"
verdict
