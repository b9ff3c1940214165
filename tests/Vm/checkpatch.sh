#!/usr/bin/env bash
# Usage: checkpatch.sh ARGS...
#
# Runs the kernel's own checkpatch.pl, of the virtual machine's kernel, outside of a kernel tree:
#     checkpatch.sh --strict -f FILE...
# The first time it takes the script out of the kernel's source package (170 MB to fetch).
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=../lib/packages.sh
. "$here/../lib/packages.sh"
# shellcheck source=../lib/cache.sh
. "$here/../lib/cache.sh"
# shellcheck source=debian.sh
. "$here/debian.sh"

# make_checkpatch DIR SERIES VERSION: fills DIR with checkpatch.pl and its word lists.
make_checkpatch() {
    debian_fetch "$1" "linux-source-$2=$3"
    tar -xJf "$1/usr/src/linux-source-$2.tar.xz" -C "$1" --strip-components=2 --wildcards \
        '*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch'
    rm -rf "${1:?}/usr"
}

kernel=$("$here/kernel.sh")
read -r release version _ <<<"$kernel"
need_packages perl xz-utils
series=$(cut -d. -f1-2 <<<"$release")
dir=$(cache_build "checkpatch-$version" make_checkpatch "$series" "$version")
exec perl "$dir/checkpatch.pl" --no-tree "$@"
