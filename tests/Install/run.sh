#!/usr/bin/env bash
# Usage: run.sh [--kernels "RELEASE..."] [RESULTS]
#
# Installs the kernel module as an operator would, with the distribution's own programs:
#   - DKMS builds and installs it for these kernels (all whose headers there are), and passes an older one over (dkms.sh);
#   - in the virtual machine, systemd makes the groups and loads the modules, and udev gives the nodes to the broker's group
#     and a function to vfio-pci (guest.sh).
# What the machine leaves goes to RESULTS (a temporary directory). Each half ends with a line "N passed, N failed".
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$(readlink -f "$here/../..")
# shellcheck source=../lib/packages.sh
. "$root/tests/lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$root/tests/lib/cache.sh"
# shellcheck source=../Vm/debian.sh
. "$root/tests/Vm/debian.sh"

# DKMS itself, and the release's own kernel's headers: too old for the module.
readonly DKMS_PACKAGES=dkms,kmod,xz-utils,linux-headers-$DEBIAN_ARCH
readonly SYSTEM_PACKAGES=systemd,udev,kmod,dash,coreutils,base-files
# Where the guest has the distribution's own file tree.
readonly GUEST_ROOT=opt/debian

# copy_modules KERNEL-DIR RELEASE DKMS-DIR OUT: of the kernel's own modules those that leases take, and what DKMS installed, into
# OUT, with their index.
copy_modules() {
    local path relative
    for path in vfio_iommu_type1 vfio-pci; do
        modprobe -d "$1" -S "$2" --show-depends "$path"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
        while read -r path; do
            relative=${path##*/"$2"/}
            install -D -m 644 "$path" "$4/$relative"
        done
    cp "$1/lib/modules/$2"/modules.{order,builtin,builtin.modinfo} "$4/"
    cp -R "$3/$2/updates" "$4/"
}

# make_layer DIR SUBDIR PACKAGES: the packages and what they depend on, in DIR/SUBDIR.
make_layer() {
    mkdir -p "$1/$2"
    debian_bootstrap "$1/$2" extract "$3" --aptopt='Apt::Install-Recommends "false"'
    rm -rf "$1/$2"/usr/share/{doc,locale,man,info}
}

# cached_layer SUBDIR PACKAGES: prints the cache entry that make_layer fills.
cached_layer() {
    local key
    key=$(cache_key "$(declare -f make_layer debian_bootstrap)" "$@")
    cache_build "install-$DEBIAN_RELEASE-$key" make_layer "$@"
}

wanted=''
if [[ ${1:-} == --kernels ]]; then
    wanted=$2
    shift 2
fi
need_packages mmdebstrap kmod
debian_need_keys
debian_refresh
kernel=$("$root/tests/Vm/kernel.sh")
read -r release _ kernel_dir <<<"$kernel"
build_chroot=$("$root/tests/Vm/chroot.sh" path)
dkms=$(cached_layer root "$DKMS_PACKAGES")
system=$(cached_layer "$GUEST_ROOT" "$SYSTEM_PACKAGES")
cache_prune 'install-*'
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

mkdir "$scratch/modules" "$scratch/overlay"
[[ -n $wanted ]] || wanted=$("$root/tests/Vm/kernel.sh" --list | cut -d ' ' -f 1)
mapfile -t releases < <(xargs -n 1 <<<"$wanted")
unshare --mount -- "$here/dkms.sh" "$dkms/root:$build_chroot" "$scratch/overlay" "$root/deploy/kmod/bar_lease" "$scratch/modules" \
    "${releases[@]}"

guest=$scratch/payload/$GUEST_ROOT
mkdir -p "$guest/usr/lib/modules/$release" "$guest"/etc/{udev/rules.d,sysusers.d,modules-load.d}
copy_modules "$kernel_dir" "$release" "$scratch/modules" "$guest/usr/lib/modules/$release"
depmod --basedir "$guest/usr" "$release"
cp "$root/deploy/udev/60-bar-broker.rules" "$root/deploy/udev/61-bar-broker-devices.rules.example" "$guest/etc/udev/rules.d/"
cp "$root/deploy/systemd/sysusers.d/bar-broker.conf" "$guest/etc/sysusers.d/"
cp "$root/deploy/systemd/modules-load.d/bar-broker.conf" "$guest/etc/modules-load.d/"
install -m 755 "$here/guest.sh" "$here/check.sh" "$scratch/payload/opt/"
"$root/tests/Vm/boot.sh" --results "${1:-$scratch/results}" --payload "$system" --payload "$scratch/payload" \
    --env "DEBIAN=/$GUEST_ROOT" -- /opt/guest.sh
