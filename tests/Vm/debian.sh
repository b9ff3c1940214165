# shellcheck shell=bash disable=SC2034
# The Debian release that the virtual machine's kernel and its build tools come from, and a private apt for it: its own
# state, its own sources, the machine's own mirror, proxy and verification keys. Sourced after tests/lib/*.sh.

# The one place that names them. The kernel has to be 6.19 or later (VFIO's DMABUF export), which stable releases are not.
readonly DEBIAN_RELEASE=trixie
readonly DEBIAN_ARCH=amd64
readonly KERNEL_SERIES=7
# Kernel series before VFIO's DMABUF export, and the releases whose own they are.
readonly OLD_KERNELS=('6.1 bookworm' '6.12 trixie')
readonly DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
# How long the mirror's lists count as fresh: also how long "the newest kernel" stays the same one.
readonly DEBIAN_LISTS_MAX_AGE_MINUTES=1440

# debian_use RELEASE: what the functions below are about from now on; DEBIAN_RELEASE at first.
debian_use() {
    debian_suite=$1
}
debian_use "$DEBIAN_RELEASE"

# debian_mirror: prints the address of the Debian archive that this machine's own apt uses; BAR_BROKER_DEBIAN_MIRROR wins.
debian_mirror() {
    local codename mirror
    if [[ -n ${BAR_BROKER_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "$BAR_BROKER_DEBIAN_MIRROR"
        return
    fi
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    # indextargets reads one-line and deb822 sources alike; --no-release-info lists them before any update, too.
    mirror=$(apt-get indextargets --no-release-info --format $'$(RELEASE)\t$(COMPONENT)\t$(REPO_URI)' 'Identifier: Packages' |
        awk -F '\t' -v release="$codename" \
            '($1 == release || $1 == "stable") && $2 == "main" && !found { sub("/$", "", $3); print $3; found = 1 }')
    if [[ -z $mirror ]]; then
        echo "debian_mirror: apt has no Debian source for '$codename main'; set BAR_BROKER_DEBIAN_MIRROR to an archive's address" >&2
        return 1
    fi
    printf '%s\n' "$mirror"
}

# debian_sources: prints the release's and its backports' sources, in apt's one-line format.
debian_sources() {
    local mirror suite
    mirror=$(debian_mirror)
    for suite in "$debian_suite" "$debian_suite-backports"; do
        printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$DEBIAN_ARCH" "$DEBIAN_KEYRING" "$mirror" "$suite"
    done
}

# debian_acquire_options: prints how this machine's apt reaches a mirror (proxies, time-outs), as apt configuration.
debian_acquire_options() {
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets'
    printf 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";\n'
}

# debian_apt TOOL ARGS...: apt-get or apt-cache on the private state, which debian_refresh makes.
debian_apt() {
    local dir
    dir=$(debian_apt_dir)
    # The machine's parts are left out: their hooks are about the machine.
    APT_CONFIG=$dir/apt.conf "$@"
}

debian_apt_dir() {
    printf '%s/apt-%s\n' "$(cache_dir)" "$debian_suite"
}

# debian_refresh: makes the private apt state and brings its lists up to date, if they are not fresh. Old lists do when the
# mirror can't be reached.
debian_refresh() {
    cache_locked "apt-$debian_suite" debian_refresh_locked
}

debian_refresh_locked() {
    local dir
    dir=$(debian_apt_dir)
    if [[ -n $(find "$dir/updated" -mmin "-$DEBIAN_LISTS_MAX_AGE_MINUTES" 2>/dev/null) ]]; then
        return
    fi
    debian_need_keys
    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial" "$dir/parts"
    : >"$dir/status"
    debian_sources >"$dir/sources.list"
    {
        debian_acquire_options
        printf 'Dir::%s;\n' "State \"$dir/state\"" "State::status \"$dir/status\"" "Cache \"$dir/cache\"" \
            "Etc::sourcelist \"$dir/sources.list\"" "Etc::sourceparts \"$dir/parts\"" "Etc::parts \"$dir/parts\"" \
            "Etc::preferences \"$dir/none\"" "Etc::preferencesparts \"$dir/parts\""
        printf 'APT::Architecture "%s";\nAPT::Architectures { "%s"; };\n' "$DEBIAN_ARCH" "$DEBIAN_ARCH"
        # The cache may lie where apt's own user can't go.
        printf 'APT::Sandbox::User "root";\n'
    } >"$dir/apt.conf"
    if debian_apt apt-get -qq --error-on=any update >"$dir/update.log" 2>&1; then
        touch "$dir/updated"
    elif [[ -e $dir/updated ]]; then
        echo "debian_refresh: the mirror could not be read, going on with older lists:" >&2
        tail -n 5 "$dir/update.log" >&2
    else
        echo "debian_refresh: apt-get update failed:" >&2
        tail -n 20 "$dir/update.log" >&2
        return 1
    fi
}

# debian_need_keys: makes sure that the machine has the release's archive keys, from Debian's own keyring package.
debian_need_keys() {
    need_packages debian-archive-keyring
    if [[ ! -e /usr/share/keyrings/debian-archive-$debian_suite-automatic.gpg ]]; then
        { packages_update && packages_install debian-archive-keyring; } >&2
    fi
}

# debian_fetch DIR PACKAGE[=VERSION]...: downloads packages, verified, and unpacks all of them into DIR.
debian_fetch() {
    local dir=$1 package
    mkdir "$dir/.debs"
    (cd "$dir/.debs" && debian_apt apt-get -qq download "${@:2}")
    for package in "$dir"/.debs/*.deb; do
        dpkg-deb --extract "$package" "$dir"
    done
    rm -rf "$dir/.debs"
}

# debian_bootstrap DIR VARIANT PACKAGES [OPTION...]: fills DIR with the release, as mmdebstrap's VARIANT says, and PACKAGES.
# Needs the package mmdebstrap.
debian_bootstrap() {
    debian_acquire_options >"$1.apt.conf"
    debian_sources |
        mmdebstrap --quiet --mode=root --variant="$2" --aptopt="$1.apt.conf" --include="$3" "${@:4}" "$debian_suite" "$1" -
    rm -f "$1.apt.conf"
}
