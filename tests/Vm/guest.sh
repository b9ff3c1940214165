#!/usr/bin/env bash
# Usage: guest.sh
#
# Makes sure that the two parts of the guest that don't change from boot to boot are in the cache, and prints their paths:
#     INITRD BASE
# INITRD (cpio): busybox, the kernel modules in loading order, and init. Small, since unpacking is slow under emulation.
# BASE (erofs): what becomes /, under the payloads: busybox, dash, setpriv, strace, accounts, and the machine's own .NET
# runtimes with the libraries that they need.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"

# In the order of their loading; what they depend on comes before them by itself. Not every kernel has all of them as modules.
readonly MODULES=(virtio_pci virtio_console virtio_blk erofs overlay 9pnet_virtio 9p irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci)
# What .NET opens by name at run time, beside what its files are linked to.
readonly DOTNET_LIBRARIES=(libssl.so.3 libcrypto.so.3)
readonly FRAMEWORKS='^Microsoft\.(NETCore|AspNetCore)\.App$'

# make_initrd DIR RELEASE KERNEL-DIR: fills DIR with initrd.
make_initrd() {
    local root=$1/root
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,etc,new,layers,modules,usr/bin,usr/sbin}
    add_busybox "$root"
    add_modules "$root" "$2" "$3"
    install -m 755 "$here/init" "$root/init"
    install -m 755 "$here/main" "$root/main"
    install -m 755 "$here/after" "$root/after"
    (cd "$root" && find . -mindepth 1 -print0 | sort -z | cpio --quiet -0 -o -H newc -R 0:0) >"$1/initrd"
    rm -rf "$root"
}

# make_base DIR: fills DIR with base.erofs.
make_base() {
    local root=$1/root
    mkdir -p "$root"/{bin,sbin,dev,proc,sys,run,tmp,root,results,home,var/lib,var/log,etc,usr/bin,usr/sbin,lib,lib64}
    chmod 700 "$root/root"
    add_busybox "$root"
    # busybox's own shell would prefer its own applets, setpriv for one, to what lies on PATH.
    install_shell "$root"
    add_program "$root" "$(command -v setpriv)"
    add_program "$root" "$(command -v strace)"
    install -m 755 "$here/vm-monitor" "$root/usr/bin/"
    add_dotnet "$root"
    add_accounts "$root"
    mkfs.erofs --quiet --all-root "$1/base.erofs" "$root"
    rm -rf "$root"
}

add_busybox() {
    local applet
    install -m 755 "$(command -v busybox)" "$1/bin/busybox"
    while read -r applet; do
        [[ -e $1/$applet ]] || ln -s /bin/busybox "$1/$applet"
    done < <("$1/bin/busybox" --list-full)
}

# add_program ROOT FILE: FILE at its own place, and the libraries that it is linked to.
add_program() {
    rm -f "$1$2"
    install -D -m 755 "$2" "$1$2"
    add_libraries_of "$1" "$2"
}

# install_shell ROOT: dash as /bin/sh.
install_shell() {
    add_program "$1" "$(command -v dash)"
    ln -sf "$(command -v dash)" "$1/bin/sh"
}

# add_libraries_of ROOT FILE...: the shared libraries that ELF files need, at their own places.
add_libraries_of() {
    local root=$1 library
    shift
    while read -r library; do
        [[ -e $root$library ]] || install -D -m 755 "$library" "$root$library"
    done < <(ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1 }' | sort -u)
}

# add_modules ROOT RELEASE KERNEL-DIR: the modules, unpacked, numbered in the order to load them in.
add_modules() {
    local module path number=100
    for module in "${MODULES[@]}"; do
        modprobe -d "$3" -S "$2" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
        while read -r path; do
            module=$1/modules/$number-$(basename "${path%.xz}")
            case $path in
                *.xz) xz -dc "$path" >"$module" ;;
                *) cp "$path" "$module" ;;
            esac
            number=$((number + 1))
        done
}

# add_dotnet ROOT: the machine's newest runtimes of the SDK's major version, without what only tracing needs.
add_dotnet() {
    local root=$1 home name version path dir=$1/usr/share/dotnet library files
    home=$(dotnet_home)
    mkdir -p "$dir"
    install -m 755 "$home/dotnet" "$dir/"
    cp -R "$home/host" "$dir/"
    while read -r name version path; do
        mkdir -p "$dir/shared/$name"
        cp -R "$path/$version" "$dir/shared/$name/"
    done < <(dotnet_runtimes)
    find "$dir" -name 'libcoreclrtraceptprovider.so' -delete
    ln -s /usr/share/dotnet/dotnet "$root/usr/bin/dotnet"
    mapfile -t files < <(find "$dir" \( -name '*.so' -o -name dotnet -type f \))
    add_libraries_of "$root" "${files[@]}"
    for library in "${DOTNET_LIBRARIES[@]}"; do
        path=$(ldconfig -p | awk -v name="$library" '$1 == name && /x86-64/ && !found { print $NF; found = 1 }')
        if [[ -n $path ]]; then
            add_program "$root" "$path"
        fi
    done
}

dotnet_home() {
    dirname "$(readlink -f "$(command -v dotnet)")"
}

# dotnet_runtimes: prints NAME VERSION DIR of the newest of each framework.
dotnet_runtimes() {
    dotnet --list-runtimes | sed 's/\[\(.*\)\]/\1/' | awk -v wanted="$FRAMEWORKS" '$1 ~ wanted' | sort -V |
        awk '{ newest[$1] = $0 } END { for (name in newest) print newest[name] }' | sort
}

# add_accounts ROOT: root, the broker, two users who are clients and one who isn't.
add_accounts() {
    cat >"$1/etc/passwd" <<'EOF'
root:x:0:0:root:/root:/bin/sh
bar-broker:x:2002:2002:BAR Broker:/run/bar-broker:/bin/false
alice:x:1001:1001:a client:/tmp:/bin/sh
bob:x:1002:1002:a client:/tmp:/bin/sh
carol:x:1003:1003:not a client:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
EOF
    cat >"$1/etc/group" <<'EOF'
root:x:0:
bar-lease:x:2001:alice,bob
bar-broker:x:2002:
alice:x:1001:
bob:x:1002:
carol:x:1003:
nogroup:x:65534:
EOF
    echo 'passwd: files
group: files
hosts: files' >"$1/etc/nsswitch.conf"
    echo '127.0.0.1 localhost' >"$1/etc/hosts"
}

need_packages busybox-static dash util-linux strace cpio erofs-utils kmod xz-utils libc-bin
if ! command -v dotnet >/dev/null; then
    echo "guest.sh: no dotnet on PATH; the guest uses this machine's .NET runtime" >&2
    exit 1
fi
kernel=$("$here/kernel.sh")
read -r release version dir <<<"$kernel"
key=$(cache_key "$here/guest.sh" "$here/init" "$here/main" "$here/after" "$(basename "$dir")" "$(dpkg-query -W busybox-static)")
initrd=$(cache_build "guest-initrd-$release-$key" make_initrd "$release" "$dir")
key=$(cache_key "$here/guest.sh" "$here/vm-monitor" "$(dotnet_runtimes)" \
    "$(dpkg-query -W busybox-static dash libc6 libgcc-s1 libssl3 libssl3t64 libstdc++6 strace util-linux 2>/dev/null || true)")
base=$(cache_build "guest-base-$key" make_base)
cache_prune 'guest-*'
printf '%s %s\n' "$initrd/initrd" "$base/base.erofs"
