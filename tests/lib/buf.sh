# shellcheck shell=bash
# buf, a gRPC client that nobody here wrote. Sourced after packages.sh and cache.sh.

# buf_binary: prints the path of the buf that tests/tools/buf/package-lock.json names, from npm, in the cache. One static binary: no
# Node.js is needed to run it.
buf_binary() {
    local tools dir
    tools=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../tools/buf")
    cache_prune 'buf-*'
    dir=$(cache_build "buf-$(cache_key "$tools/package-lock.json" "$(declare -f install_buf)")" install_buf "$tools")
    printf '%s\n' "$dir/buf"
}

# install_buf DIR TOOLS: puts the binary into DIR.
install_buf() {
    # Where Node.js came with an npm of its own, Debian's would only conflict with it.
    command -v npm >/dev/null || need_packages npm
    cp "$2/package.json" "$2/package-lock.json" "$1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund)
    mv "$1/node_modules/@bufbuild/buf-linux-x64/bin/buf" "$1/buf"
    rm -rf "$1/node_modules"
    chmod 755 "$1/buf"
}
