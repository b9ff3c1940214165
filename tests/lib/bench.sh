# shellcheck shell=bash disable=SC2154
# The figures: a part of run.sh. Sourced by it alone, after parts.sh and on the same terms.

part_bench() {
    stage_once
    [[ $staged == yes ]] || return 0
    check stage-benchmarks stage_benchmarks
    ((status == 0)) || return 0
    check bench-programs native_benchmarks
    ((status == 0)) || return 0
    check bench-simulated bench_simulated
    check bench-vm bench_vm
    grep -h '^bench ' "$results/bench-simulated.log" "$results/bench-vm.log" || true
}

stage_benchmarks() {
    publish_program tests/Benchmarks "$stage/benchmarks" --no-build
    make_readable "$stage/benchmarks"
}

bench_simulated() {
    local dotnet native
    dotnet=$(shared_dotnet "$scratch/dotnet")
    native=$(native_benchmarks)
    BAR_BROKER_STAGE=$stage BAR_BROKER_NATIVE=$native BAR_BROKER_RESULTS=$(make_results bench) "$dotnet" "$stage/benchmarks/bar-benchmarks.dll"
}

bench_vm() {
    local vm module
    vm=$(make_results bench-vm)
    module=$("$root/tests/Vm/module.sh")
    "$root/tests/Vm/boot.sh" --results "$vm" --timeout "$VM_TIMEOUT" --payload "$payload" --module "$module" \
        --env "BAR_BROKER_STAGE=$GUEST_STAGE" --env BAR_BROKER_RESULTS=/results \
        -- dotnet "$GUEST_STAGE/benchmarks/bar-benchmarks.dll"
}

# native_benchmarks: prints the directory of `grpc-client` and `grpc-server`, which run C++ gRPC, and of `descriptor-ping-pong`.
native_benchmarks() {
    local sources=$root/tests/Benchmarks version
    need_packages gcc g++ libc6-dev libgrpc++-dev libprotobuf-dev pkg-config protobuf-compiler protobuf-compiler-grpc
    # shellcheck disable=SC2016 # dpkg-query's own
    version=$(dpkg-query -W -f '${Version}' libgrpc++-dev)
    cache_prune 'native-benchmarks-*'
    cache_build "native-benchmarks-$(cache_key "$sources"/native/* "$sources"/proto/* "$version" \
        "$(declare -f build_native_benchmarks)")" build_native_benchmarks "$sources"
}

# build_native_benchmarks DIR SOURCES
build_native_benchmarks() {
    local generated=$1/generated objects=() libraries file name
    mkdir "$generated"
    protoc -I "$2/proto" --cpp_out="$generated" --grpc_out="$generated" \
        --plugin="protoc-gen-grpc=$(command -v grpc_cpp_plugin)" "$2/proto/benchmark.proto"
    for file in "$generated"/*.cc; do
        g++ -std=c++17 -O2 -I "$generated" -c -o "$file.o" "$file"
        objects+=("$file.o")
    done
    read -ra libraries < <(pkg-config --libs grpc++ protobuf)
    for name in client server; do
        # What is generated need not pass for ours.
        g++ -std=c++17 -O2 -Wall -Wextra -Werror -isystem "$generated" -o "$1/grpc-$name" "$2/native/grpc_$name.cc" \
            "${objects[@]}" "${libraries[@]}"
    done
    gcc -O2 -Wall -Wextra -Werror -o "$1/descriptor-ping-pong" "$2/native/descriptor_ping_pong.c"
    rm -r "$generated"
}
