# shellcheck shell=bash disable=SC2154
# gRPC of others against ours: a part of run.sh. Sourced by it alone, after parts.sh and on the same terms.

part_interop() {
    # In the server's log: that it heard of a call that the client cancelled.
    local cancelled='FullDuplexCall .* ended with Cancelled'
    build_once
    [[ $built == yes ]] || return 0
    check interop-programs make_interop_programs
    ((status == 0)) || return 0
    check_tests interop-python ask_our_server interop-python python_client "$cancelled"
    # Node.js half-closes before it resets, so that the server may take the call for a complete one.
    check_tests interop-js ask_our_server interop-js js_client
    check_tests interop-cpp ask_our_server interop-cpp cpp_client "$cancelled"
    check_tests interop-ours ask_cpp_server interop-ours
}

# So that what they cost is seen apart from the cases.
make_interop_programs() {
    foreign_programs
    js_packages
}

# Each runs the cases against the server on SOCKET.

python_client() {
    need_packages python3-grpcio python3-protobuf
    # Debian's, which sees Debian's modules: there may be another on PATH.
    /usr/bin/python3 "$root/tests/Interop/python/client.py" "$1" "$(foreign_programs)/python/grpc/testing"
}

js_client() {
    NODE_PATH=$(js_packages)/node_modules node "$root/tests/Interop/js/client.js" "$1" "$root/tests/Interop/proto"
}

cpp_client() {
    "$(foreign_programs)/client" "$1"
}

our_client() {
    our_interop client "$1"
}

our_interop() {
    exec dotnet "$root/tests/Interop/bin/Release/net10.0/Interop.dll" "$@"
}

# ask_our_server NAME CLIENT [WORDS]...: that client's cases on our server. The server's log must have these words, and a warning of the
# call whose authority is no host name, with what to do about it; none may be an error of its own.
ask_our_server() {
    local log=$results/$1-server.log words
    ask_server "$log" "$2" our_interop serve
    for words in '\[204\] .*grpc\.default_authority' "${@:3}"; do
        if ! grep -q "$words" "$log"; then
            echo "$log: nothing like '$words'"
            return 1
        fi
    done
    if grep -E '^(fail|crit): ' "$log"; then
        echo "$log: the server had errors"
        return 1
    fi
}

# ask_cpp_server NAME: our client's cases on a server that runs C++ gRPC.
ask_cpp_server() {
    local programs
    programs=$(foreign_programs)
    ask_server "$results/$1-server.log" our_client "$programs/server"
}

# ask_server LOG CLIENT SERVER...: starts SERVER on a socket, which prints a line once it serves; runs CLIENT on it; ends SERVER,
# which must end well.
ask_server() {
    local log=$1 client=$2 socket=$scratch/interop.sock ready=$scratch/interop.ready server line
    rm -f "$socket" "$ready"
    mkfifo "$ready"
    "${@:3}" "$socket" >"$ready" 2>"$log" &
    server=$!
    # Seconds: reached only by failures, and ends at once where the server does.
    if ! read -r -t 60 line <"$ready"; then
        echo "the server does not serve:"
        cat "$log"
        return 1
    fi
    echo "$line"
    ("$client" "$socket")
    kill -TERM "$server"
    wait "$server"
}

# foreign_programs: prints the directory of `client` and `server`, which run C++ gRPC, and of Python's messages.
foreign_programs() {
    local sources=$root/tests/Interop version
    need_packages g++ libc6-dev libgrpc++-dev libprotobuf-dev pkg-config protobuf-compiler protobuf-compiler-grpc
    # shellcheck disable=SC2016 # dpkg-query's own
    version=$(dpkg-query -W -f '${Version}' libgrpc++-dev)
    cache_prune 'interop-programs-*'
    cache_build "interop-programs-$(cache_key "$sources"/cpp/* "$sources"/proto/grpc/testing/* "$version" \
        "$(declare -f build_foreign_programs)")" build_foreign_programs "$sources"
}

# build_foreign_programs DIR SOURCES
build_foreign_programs() {
    local generated=$1/generated objects=() libraries file name
    mkdir "$generated" "$1/python"
    protoc -I "$2/proto" --cpp_out="$generated" --python_out="$1/python" --grpc_out="$generated" \
        --plugin="protoc-gen-grpc=$(command -v grpc_cpp_plugin)" "$2"/proto/grpc/testing/*.proto
    for file in "$generated"/grpc/testing/*.cc; do
        g++ -std=c++17 -O1 -I "$generated" -c -o "$file.o" "$file"
        objects+=("$file.o")
    done
    read -ra libraries < <(pkg-config --libs grpc++ protobuf)
    for name in client server; do
        # What is generated need not pass for ours.
        g++ -std=c++17 -O1 -Wall -Wextra -Werror -isystem "$generated" -o "$1/$name" "$2/cpp/$name.cc" "${objects[@]}" "${libraries[@]}"
    done
    rm -r "$generated"
}

# js_packages: prints the directory of the node_modules that tests/tools/grpc-js/package-lock.json names.
js_packages() {
    local tools=$root/tests/tools/grpc-js
    command -v node >/dev/null || need_packages nodejs
    cache_prune 'interop-js-*'
    cache_build "interop-js-$(cache_key "$tools/package-lock.json" "$(declare -f install_js_packages)")" install_js_packages "$tools"
}

# install_js_packages DIR TOOLS
install_js_packages() {
    # Where Node.js came with an npm of its own, Debian's would only conflict with it.
    command -v npm >/dev/null || need_packages npm
    cp "$2/package.json" "$2/package-lock.json" "$1"
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund)
}
