#!/bin/sh
# In the virtual machine: the distribution's systemd and udev, in $DEBIAN, with our files in their places, do what they do at
# a boot. They see the machine's real devices.
# shellcheck source-path=SCRIPTDIR
# shellcheck source=check.sh disable=SC1091,SC2154 # boot.sh sets BAR_BROKER_VM_*
. /opt/check.sh

# Or udevadm would do nothing, seeing that it is in a chroot.
export SYSTEMD_IGNORE_CHROOT=1

inside() {
    chroot "$DEBIAN" "$@"
}

# owned_by_broker NODE: by its group, and open to nobody else.
owned_by_broker() {
    is "$(inside stat -c '%U:%G %a' "$1")" 'root:bar-broker 660'
}

make_groups() {
    inside systemd-sysusers >/results/sysusers.log 2>&1
}

driver_of() {
    basename "$(readlink "/sys/bus/pci/devices/$1/driver")" 2>/dev/null
}

function=$BAR_BROKER_VM_NVME
group=$(basename "$(readlink "/sys/bus/pci/devices/$function/iommu_group")")
rules=$DEBIAN/etc/udev/rules.d
mount -t proc proc "$DEBIAN/proc"
mount -o rbind /sys "$DEBIAN/sys"
mount -o rbind /dev "$DEBIAN/dev"
mount -t tmpfs tmpfs "$DEBIAN/run"

# As the example says: the operator's function in place of its own.
sed "s/0000:01:00\.0/$function/" "$rules/61-bar-broker-devices.rules.example" >"$rules/61-bar-broker-devices.rules"
check 'systemd makes the groups' make_groups
check 'for the daemon' grep -q '^bar-broker:' "$DEBIAN/etc/group"
check 'and for the clients' grep -q '^bar-lease:' "$DEBIAN/etc/group"

check 'udev understands every line of the rules' \
    inside udevadm verify --no-summary /etc/udev/rules.d/60-bar-broker.rules /etc/udev/rules.d/61-bar-broker-devices.rules

# The function as after a boot without us: nobody's, with no override.
echo "$function" >"/sys/bus/pci/devices/$function/driver/unbind"
echo >"/sys/bus/pci/devices/$function/driver_override"
check 'the function is nobody'"'"'s' is "$(driver_of "$function")" ''

inside /usr/lib/systemd/systemd-udevd --daemon
check 'systemd loads the modules' inside /usr/lib/systemd/systemd-modules-load
check 'ours among them, from where DKMS put it' grep -q '^bar_lease ' /proc/modules
inside udevadm trigger --action=add --settle
check 'its node is the broker'"'"'s' owned_by_broker /dev/bar_lease
check 'the function is bound to vfio-pci' is "$(driver_of "$function")" vfio-pci
check 'the node of its IOMMU group is the broker'"'"'s' owned_by_broker "/dev/vfio/$group"
check 'another function'"'"'s is not' \
    is "$(inside stat -c %G "/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$BAR_BROKER_VM_EDU/iommu_group")")")" root
for node in "/sys/bus/pci/devices/$function/vfio-dev/"vfio*; do
    if [ -e "$node" ] && [ -e "/dev/vfio/devices/${node##*/}" ]; then
        check 'its own node is the broker'"'"'s' owned_by_broker "/dev/vfio/devices/${node##*/}"
    fi
done

# The broker's user, whom systemd made, can use it without being root.
uid=$(sed -n 's/^bar-broker:[^:]*:\([0-9]*\):.*/\1/p' "$DEBIAN/etc/passwd")
gid=$(sed -n 's/^bar-broker:[^:]*:\([0-9]*\):.*/\1/p' "$DEBIAN/etc/group")
check 'the broker'"'"'s user can open it' setpriv --reuid "$uid" --regid "$gid" --clear-groups sh -c ': <>/dev/bar_lease'
check 'a client can'"'"'t' says 'ermission denied' setpriv --reuid alice --regid alice --init-groups sh -c ': <>/dev/bar_lease'

inside udevadm control --exit
verdict
