#!/usr/bin/env bash
# Usage: debug-kernel.sh
#
# Makes sure that the debug kernel is in the cache, and prints what kernel.sh prints of others:
#     RELEASE PACKAGE-VERSION DIR
# It is the distribution's newest kernel, from its source package, with what debug-kernel.config says: KASAN, lockdep,
# kmemleak, fault injection. DIR also holds `build`, what modules are built against, and vmlinux, for its symbols.
# Everything that takes a kernel takes this one under the name BAR_BROKER_VM_KERNEL=debug.
# The first time takes about ten minutes on two processors, 170 MB to fetch and 2.5 GB of disk for a while.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

readonly FRAGMENT=$here/debug-kernel.config

# make_debug_kernel DIR SERIES VERSION: fills DIR.
make_debug_kernel() {
    local build=$1/build release
    mkdir "$build"
    debian_fetch "$1" "linux-source-$2=$3"
    tar -xJf "$1/usr/src/linux-source-$2.tar.xz" -C "$build" --strip-components=1
    rm -rf "${1:?}/usr"
    cp "$FRAGMENT" "$build/kernel/configs/bar-broker.config"
    in_build "$build" make -s tinyconfig bar-broker.config
    check_config "$build/.config"
    in_build "$build" make -s "-j$(nproc)" bzImage modules
    in_build "$build" make -s INSTALL_MOD_PATH=/source/installed DEPMOD=true modules_install
    # Started at its ELF image, as others are, it dies: KASAN checks memory there before it has any shadow.
    cp "$build/arch/x86/boot/bzImage" "$1/image"
    mv "$build/vmlinux" "$1/vmlinux"
    cp "$build/.config" "$1/config"
    mv "$build/installed/lib" "$1/lib"
    release=$(<"$build/include/config/kernel.release")
    rm "$1/lib/modules/$release/build"
    depmod --basedir "$1" "$release"
    prune_build "$build"
}

# in_build DIR COMMAND...: in the build chroot, whose headers are of no concern.
in_build() {
    BAR_BROKER_VM_KERNEL='' "$here/chroot.sh" run "$@"
}

# check_config FILE: fails unless FILE has every line of the fragment, since kconfig drops silently what can't be.
check_config() {
    local line dropped=0
    while read -r line; do
        if [[ $line =~ ^CONFIG_ ]]; then
            grep -qxF "$line" "$1" && continue
        elif [[ $line =~ ^#\ (CONFIG_[A-Z0-9_]+)\ is\ not\ set$ ]]; then
            grep -q "^${BASH_REMATCH[1]}=" "$1" || continue
        else
            continue
        fi
        echo "the kernel's configuration does not take: $line"
        dropped=1
    done <"$FRAGMENT"
    return "$dropped"
}

# prune_build DIR: leaves what building a module takes.
prune_build() {
    local objtool
    objtool=$(mktemp -p "$1")
    mv "$1/tools/objtool/objtool" "$objtool"
    find "$1" -mindepth 1 -maxdepth 1 -type d ! -name include ! -name scripts ! -name arch -exec rm -rf {} +
    find "$1/arch" -mindepth 1 -maxdepth 1 ! -name x86 -exec rm -rf {} +
    find "$1/arch" -type f ! -name '*.h' ! -name 'Makefile*' ! -name 'Kbuild*' -delete
    find "$1" \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \) -delete
    rm -f "$1"/vmlinux*
    mkdir -p "$1/tools/objtool"
    mv "$objtool" "$1/tools/objtool/objtool"
    chmod 755 "$1/tools/objtool/objtool"
}

kernel=$(BAR_BROKER_VM_KERNEL='' "$here/kernel.sh")
read -r release version _ <<<"$kernel"
need_packages kmod xz-utils
series=$(cut -d. -f1-2 <<<"$release")
key=$(cache_key "$FRAGMENT" "$(declare -f make_debug_kernel check_config prune_build)")
cache_prune 'debug-kernel-*'
dir=$(cache_build "debug-kernel-$version-$key" make_debug_kernel "$series" "$version")
printf '%s %s %s\n' "$(<"$dir/build/include/config/kernel.release")" "$version" "$dir"
