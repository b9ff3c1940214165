# shellcheck shell=bash
# The example clients in other languages, built with the distribution's gRPC. Sourced after packages.sh, cache.sh and stage.sh.

# stage_bar_lease STAGE: bar-lease, and a program for it.
stage_bar_lease() {
    local sources object
    sources=$(repository)/Client.Sdk
    publish_program Client.Sdk/Tool "$1/bar-lease" --no-build
    object=$(mktemp -d)
    build_library "$object" "$sources"
    build_c "$object" "$sources/examples/c" "$1/leased"
    rm -rf "$object"
}

# copy_examples DIR: prints DIR, which gets the clients: other users can't reach the cache.
copy_examples() {
    local clients
    clients=$(example_clients)
    cp -R "$clients" "$1"
    make_readable "$1"
    printf '%s\n' "$1"
}

# example_clients: prints the directory, in the cache, with cpp/client, go/client and python/client.py, and what they need beside the
# distribution's packages.
example_clients() {
    local sources files
    sources=$(repository)
    # Also for a build from the cache: they are needed to run.
    need_packages python3-grpcio python3-protobuf libgrpc++1.51
    mapfile -t files < <(find "$sources/Client.Sdk/native" "$sources/Client.Sdk/examples" "$sources/Broker.Protos/proto/barbroker" \
        -type f ! -path '*/obj/*' | sort)
    cache_prune 'examples-*'
    cache_build "examples-$(cache_key "${files[@]}" "$(declare -f build_examples build_library build_cpp build_python build_go)")" \
        build_examples "$sources/Client.Sdk" "$sources/Broker.Protos/proto"
}

# build_examples DIR SDK PROTO
build_examples() {
    need_packages gcc g++ libc6-dev make pkg-config protobuf-compiler protobuf-compiler-grpc libgrpc++-dev libprotobuf-dev
    # The first of the last three by name: golang-google-grpc-dev would be content with one that does not go with what protoc-gen-go makes.
    need_packages golang-go protoc-gen-go golang-github-golang-protobuf-1-5-dev golang-google-grpc-dev
    build_library "$1" "$2"
    build_cpp "$1" "$2/examples/cpp" "$3"
    build_python "$1" "$2/examples/python" "$3"
    build_go "$1" "$2/examples/go" "$3"
    rm -rf "$1/build"
    chmod -R u=rwX,go=rX "$1"
}

# build_library DIR SDK: libbarbroker, installed below DIR.
build_library() {
    make -s -C "$2/native" "O=$1/build/native" "PREFIX=$1" install
}

# build_cpp DIR SOURCE PROTO: it finds the library beside itself.
build_cpp() {
    local generated=$1/build/cpp flags
    mkdir -p "$1/cpp" "$generated"
    protoc -I "$3" --cpp_out="$generated" --grpc_out="$generated" --plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin \
        barbroker/v1/lease.proto barbroker/v1/broker.proto
    read -ra flags <<<"$(PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --cflags --libs barbroker grpc++ protobuf)"
    # shellcheck disable=SC2016 # the linker's variable
    g++ -std=c++17 -O1 -Wall -Wextra -Werror -I "$generated" -o "$1/cpp/client" "$2/client.cc" "$generated"/barbroker/v1/*.cc \
        "${flags[@]}" '-Wl,-rpath,$ORIGIN/../lib'
}

# build_python DIR SOURCE PROTO
build_python() {
    mkdir -p "$1/python"
    install -m 755 "$2/client.py" "$1/python"
    protoc -I "$3" --python_out="$1/python" barbroker/v1/lease.proto barbroker/v1/broker.proto
}

# build_go DIR SOURCE PROTO: without modules, against the distribution's packages of sources.
build_go() {
    local path=$1/build/go
    mkdir -p "$1/go" "$path/src/example"
    cp "$2/client.go" "$path/src/example"
    protoc -I "$3" --go_out="$path/src" --go_opt=Mbarbroker/v1/lease.proto=barbroker/v1 --go_opt=Mbarbroker/v1/broker.proto=barbroker/v1 \
        barbroker/v1/lease.proto barbroker/v1/broker.proto
    GO111MODULE=off GOPROXY=off GOFLAGS='' CGO_ENABLED=0 GOPATH=$path:/usr/share/gocode GOCACHE=$path/cache \
        go build -o "$1/go/client" example
}

# build_c DIR SOURCE PROGRAM: with the library in DIR. Static, to run in the virtual machine as well.
build_c() {
    local flags
    read -ra flags <<<"$(PKG_CONFIG_PATH=$1/lib/pkgconfig pkg-config --static --cflags --libs barbroker)"
    gcc -static -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -o "$3" "$2/leased.c" "${flags[@]}"
}
