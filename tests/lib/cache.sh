# shellcheck shell=bash
# The cache of what is expensive to make and depends on nothing but its name. Sourced by scripts under `set -euo pipefail`.
#
# An entry's name carries everything that its content depends on (versions, a hash), so an entry is never updated: it is
# complete or absent. Interrupted builds leave NAME.tmp.*, which the next build of NAME removes.

# Without this, $(cache_build ...) would carry on after a failed command.
shopt -s inherit_errexit

# cache_dir: prints the cache's directory, made if need be. It is outside any checkout.
cache_dir() {
    local dir=${BAR_BROKER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bar-broker}
    mkdir -p "$dir"
    printf '%s\n' "$dir"
}

# cache_locked NAME COMMAND...: runs COMMAND while no other process holds the lock NAME; its exit status.
cache_locked() {
    local dir
    dir=$(cache_dir)
    mkdir -p "$dir/locks"
    (
        flock 9
        cache_without_lock "${@:2}"
    ) 9>"$dir/locks/$1"
}

# cache_without_lock COMMAND...: runs COMMAND without descriptor 9, so that nothing it leaves behind keeps the lock.
cache_without_lock() {
    "$@" 9>&-
}

# cache_build NAME BUILDER [ARGS...]: prints the path of entry NAME; if it is absent, builds it first with
# `BUILDER TEMPDIR ARGS...` (a function or command that fills the empty TEMPDIR, failing on the first error).
# The builder's output is kept out of the way and shown only if it fails. Don't call this in a condition: bash would
# then let the builder run on after an error.
cache_build() {
    local name=$1 dir
    dir=$(cache_dir)
    if [[ ! -e $dir/$name ]]; then
        cache_locked "$name" cache_build_locked "$dir/$name" "${@:2}"
    fi
    # An entry's age is its last use, which is what cache_prune goes by.
    touch -c "$dir/$name"
    printf '%s\n' "$dir/$name"
}

# cache_build_locked PATH BUILDER [ARGS...]: the part of cache_build that only one process does at a time.
cache_build_locked() {
    local path=$1 temp status
    [[ ! -e $path ]] || return 0
    rm -rf --one-file-system "$path".tmp.*
    temp=$(mktemp -d "$path.tmp.XXXXXX")
    chmod 755 "$temp"
    echo "cache: making $(basename "$path") ..." >&2
    set +e
    (
        set -e
        "$2" "$temp" "${@:3}"
    ) >"$temp.log" 2>&1
    status=$?
    set -e
    if ((status)); then
        echo "cache: making $(basename "$path") failed ($status); its last words:" >&2
        tail -n 30 "$temp.log" >&2
        return 1
    fi
    mv -T "$temp" "$path"
    rm -f "$temp.log"
}

# cache_prune PATTERN [DAYS=14]: removes entries matching the glob PATTERN that nobody used for DAYS days.
cache_prune() {
    local dir
    dir=$(cache_dir)
    find "$dir" -mindepth 1 -maxdepth 1 -name "$1" -mtime +"${2:-14}" -exec rm -rf --one-file-system {} +
}

# cache_key FILE|STRING...: prints a short hash of the contents of the files and of the other arguments as they are.
cache_key() {
    local part
    for part in "$@"; do
        if [[ -f $part ]]; then
            sha256sum <"$part"
        else
            printf '%s\n' "$part"
        fi
    done | sha256sum | cut -c1-12
}
