#!/usr/bin/env bash
# Usage: module.sh [--sparse] [DIR] [OUT]
#
# Builds the kernel module in DIR (deploy/kmod/bar_lease unless given; it has a Kbuild or Makefile) for the virtual
# machine's kernel, the one that BAR_BROKER_VM_KERNEL names (kernel.sh), in the build chroot, from a copy: the checkout stays clean. Every warning, W=1's too, is an error.
# Puts the .ko files into OUT if given; always prints their paths, one a line. Unchanged sources are not built again.
# --sparse: checks with sparse instead; its warnings are errors too.
# The compiler's output goes to stderr with the checkout's paths.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"

# build_module DIR SOURCE CHECK: builds a copy of SOURCE, leaves the .ko files in DIR. CHECK: arguments for make.
build_module() {
    local dir=$1 source=$2
    mkdir "$dir/build"
    cp -R "$source/." "$dir/build"
    find "$dir/build" \( -name '*.o' -o -name '*.ko' -o -name '*.cmd' -o -name '*.mod' -o -name '*.mod.c' \) -delete
    # shellcheck disable=SC2016 # KERNEL_BUILD is the chroot's
    "$here/chroot.sh" run "$dir/build" sh -c 'exec make -C "$KERNEL_BUILD" M=/source W=1e "$@" modules' sh "${@:3}" 2>&1 |
        tee "$dir/log" | sed "s,^/source/,$source/,"
    # modpost and sparse only warn; what sparse says about the kernel's own headers isn't ours.
    if grep -vE '^/(usr/src|kernel)/' "$dir/log" | grep -qiE '(warning|error):'; then
        echo "warnings are errors here"
        return 1
    fi
    find "$dir/build" -name '*.ko' -exec mv -t "$dir" {} +
    rm -rf "$dir/build"
}

check=()
if [[ ${1:-} == --sparse ]]; then
    check=(C=2 CHECK=sparse-kernel)
    shift
fi
source=$(readlink -e "${1:-$here/../../deploy/kmod/bar_lease}") || {
    echo "module.sh: no directory '${1:-deploy/kmod/bar_lease}'" >&2
    exit 2
}
if [[ ! -f $source/Kbuild && ! -f $source/Makefile ]]; then
    echo "module.sh: '$source' has no Kbuild or Makefile" >&2
    exit 2
fi
id=$("$here/chroot.sh" id)
mapfile -d '' files < <(find "$source" -type f \( -name '*.[chS]' -o -name Kbuild -o -name Makefile \) -print0 | sort -z)
key=$(cache_key "$id" "${check[*]}" "$(declare -f build_module)" "${files[@]}" "${files[@]#"$source"}")
cache_prune 'module-*' 7
built=$(cache_build "module-$(basename "$source")-$key" build_module "$source" "${check[@]}")
for ko in "$built"/*.ko; do
    [[ -e $ko ]] || { echo "module.sh: '$source' made no .ko" >&2; exit 1; }
    if [[ -n ${2:-} ]]; then
        mkdir -p "$2"
        cp "$ko" "$2/"
        ko=$2/$(basename "$ko")
    fi
    printf '%s\n' "$ko"
done
