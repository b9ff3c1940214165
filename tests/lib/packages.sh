# shellcheck shell=bash
# Debian packages that a test needs on this machine. Sourced, not run.

# need_packages PKG...: returns once every package is installed; installs what is missing (root), and says nothing while
# that works. Fails with apt's own words otherwise.
need_packages() {
    local package log installed missing=()
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^.i *//p') || true
    for package in "$@"; do
        grep -qxF "$package" <<<"$installed" || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        echo "need_packages: not root; run this first: apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    log=$(mktemp)
    # The lists at hand usually do. Only when they are missing or stale is an update worth its seconds.
    if packages_install "${missing[@]}" >"$log" 2>&1 ||
        { packages_update >"$log" 2>&1 && packages_install "${missing[@]}" >>"$log" 2>&1; }; then
        rm -f "$log"
        return 0
    fi
    echo "need_packages: apt-get could not install ${missing[*]}:" >&2
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
}

# packages_install PKG...: apt-get install without questions, waiting for another dpkg to finish.
packages_install() {
    DEBIAN_FRONTEND=noninteractive apt-get -y -qq -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

# packages_update: apt-get update. apt doesn't wait for the lock on its lists, so a collision is retried.
packages_update() {
    local try
    for try in 1 2 3 4 5; do
        apt-get -qq update && return 0
        ((try == 5)) || sleep "$((try * 2))"
    done
    return 1
}
