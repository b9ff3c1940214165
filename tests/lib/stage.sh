# shellcheck shell=bash
# The programs as end-to-end tests, benchmarks and the demo start them. Sourced after packages.sh and cache.sh.

# build_solution: everything, once. What is built natively on the way needs a compiler.
build_solution() {
    need_packages gcc libc6-dev make pkg-config
    # Build servers that outlive the build keep its output open, and serve nobody here.
    MSBUILDDISABLENODEREUSE=1 dotnet build "$(repository)/Broker.sln" --configuration Release -v quiet --nologo
}

# publish_program PROJECT DIR [OPTION...]: puts PROJECT's files into DIR, as it would be installed.
publish_program() {
    MSBUILDDISABLENODEREUSE=1 dotnet publish "$(repository)/$1" --configuration Release -v quiet --nologo --output "$2" "${@:3}"
}

# make_readable DIR: to everybody, as what is installed would be: clients run as other users.
make_readable() {
    chmod -R u=rwX,go=rX "$1"
}

# shared_dotnet DIR: prints a dotnet that everybody can run: the machine's own, or a copy of its runtimes in DIR where the
# SDK lies in somebody's home.
shared_dotnet() {
    local dotnet home framework
    dotnet=$(readlink -f "$(command -v dotnet)")
    if ! setpriv --reuid=65534 --regid=65534 --clear-groups -- "$dotnet" --list-runtimes >/dev/null 2>&1; then
        home=$(dirname "$dotnet")
        mkdir -p "$1/shared"
        cp -R "$dotnet" "$home/host" "$1"
        for framework in Microsoft.NETCore.App Microsoft.AspNetCore.App; do
            cp -R "$home/shared/$framework" "$1/shared"
        done
        make_readable "$1"
        dotnet=$1/dotnet
    fi
    printf '%s\n' "$dotnet"
}

# fill_backing_file FILE: the memory behind ivshmem's BAR 2, 64 MiB, before a boot: every page starts with the
# identification that the simulated device has, and with its number. So who reads that in the machine reads what was set
# from outside of it.
fill_backing_file() {
    # shellcheck disable=SC2016 # perl's variable
    perl -e 'print pack("VVx4088", 0x00b12b0c, $_) for 0 .. 16383' >"$1"
}

# repository: prints the checkout's directory.
repository() {
    readlink -f "$(dirname "${BASH_SOURCE[0]}")/../.."
}
