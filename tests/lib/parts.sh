# shellcheck shell=bash disable=SC2154
# The parts of run.sh. Sourced by it alone: `root`, `results` and `scratch` are its own. As in tally.sh, nothing that makes
# checks may be called in a condition.

# Where the guest has the staged programs.
readonly GUEST_STAGE=/opt/bar-broker-tests
# Under emulation everything takes its time. Each is a few times what was seen.
readonly VM_TIMEOUT=1800
readonly RUNNER_OPTIONS=(-noColor -noLogo -failSkips)

# begin_early PART...: starts what of these takes long, to run beside the others.
# The scenarios in the machine take longer than all the rest, so they begin as soon as there are programs. The module's own tests,
# which measure, have nothing but that machine beside them; what runs only when named has nothing at all: some of it takes both
# processors, some is figures.
begin_early() {
    local part
    for part in "$@"; do
        if is_among "$part" "${MORE_PARTS[@]}"; then
            return
        fi
    done
    if is_among vm "$@"; then
        echo 'programs:'
        stage_once
        if [[ $staged == yes ]]; then
            beside vm check_scenarios_in_vm
        fi
    fi
}

# is_among WORD WORD...: whether the first is one of the others.
is_among() {
    [[ " ${*:2} " == *" $1 "* ]]
}

part_lint() {
    build_once
    [[ $built == yes ]] || return 0
    check format-cs lint_cs
    check format-c lint_c
    check shellcheck lint_shell
}

# The analyzers' rules are errors of the build already: running them again would take longer than the rest.
lint_cs() {
    local rules
    for rules in whitespace style; do
        dotnet format "$rules" "$root/Broker.sln" --verify-no-changes --no-restore
    done
}

# The kernel module and its tests are in the kernel's own style, which clang-format only approximates.
lint_c() {
    need_packages clang-format
    git -C "$root" ls-files -z -- '*.c' '*.cc' '*.h' ':!deploy/kmod' ':!tests/Kmod' |
        xargs -0 -r -I{} clang-format --dry-run --Werror "$root/{}"
}

# Every tracked script: by its name, or executable without one.
lint_shell() {
    need_packages shellcheck
    local scripts
    cd "$root" || return
    mapfile -t scripts < <({
        git ls-files -- '*.sh'
        git ls-files --stage | awk '$1 == "100755"' | cut -f 2
    } | sort -u)
    shellcheck --external-sources "${scripts[@]}"
}

part_unit() {
    check_tests run.sh "$root/tests/lib/selftest.sh"
    build_once
    [[ $built == yes ]] || return 0
    check_tests unit dotnet "$root/tests/Broker.Tests/bin/Release/net10.0/Broker.Tests.dll" "${RUNNER_OPTIONS[@]}" -trait- headers=kernel
}

part_e2e() {
    stage_once
    [[ $staged == yes ]] || return 0
    check_tests e2e run_scenarios
}

run_scenarios() {
    local dotnet examples
    dotnet=$(shared_dotnet "$scratch/dotnet")
    examples=$(copy_examples "$scratch/examples")
    BAR_BROKER_STAGE=$stage BAR_BROKER_EXAMPLES=$examples BAR_BROKER_RESULTS=$(make_results e2e) \
        "$dotnet" "$stage/tests/Broker.EndToEnd.dll" "${RUNNER_OPTIONS[@]}" -trait- machine=real
}

part_vm() {
    local releases
    releases=$(kernel_releases)
    printf '  on %s\n' "$(tail -n 1 <<<"$releases")"
    check_tests vm-module test_module_in_vm
    check_tests vm-stress-short stress_short
    if is_side vm; then
        join vm
        return
    fi
    stage_once
    [[ $staged == yes ]] || return 0
    check_scenarios_in_vm
}

check_scenarios_in_vm() {
    check_tests vm run_scenarios_in_vm
    [[ -n ${BAR_BROKER_SCENARIOS:-} ]] || check vm-backing-file written_through_a_lease "$results/vm"
}

test_module_in_vm() {
    need_packages gcc libc6-dev
    "$root/tests/Kmod/run.sh" "$(make_results vm-module)"
}

# What both devices decide before the kernel is asked has a part of its own.
run_scenarios_in_vm() {
    local vm
    vm=$(make_results vm)
    boot_scenarios "$vm" -- -trait- length=long -trait- machine=either
}

# All scenarios but the long ones.
part_vm_scenarios() {
    stage_once
    [[ $staged == yes ]] || return 0
    check_tests vm-scenarios run_all_scenarios_in_vm
}

run_all_scenarios_in_vm() {
    local vm
    vm=$(make_results vm-scenarios)
    boot_scenarios "$vm" -- -trait- length=long
}

# boot_scenarios RESULTS [OPTION]... -- [ARGUMENT]...: the scenarios in the virtual machine, with these options of boot.sh and
# arguments of the test program. BAR_BROKER_SCENARIOS: more of these, to run some only ('-method *.NAME', repeatable).
boot_scenarios() {
    local vm=$1 module importer options=() arguments
    shift
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    read -ra arguments <<<"${BAR_BROKER_SCENARIOS:-}"
    module=$("$root/tests/Vm/module.sh")
    importer=$("$root/tests/Vm/module.sh" "$root/tests/Kmod/importer")
    fill_backing_file "$scratch/ivshmem.bin"
    "$root/tests/Vm/boot.sh" --results "$vm" --timeout "$VM_TIMEOUT" --payload "$payload" --module "$module" --module "$importer" \
        --root-port --ivshmem "$scratch/ivshmem.bin" --env "BAR_BROKER_STAGE=$GUEST_STAGE" --env BAR_BROKER_RESULTS=/results \
        "${options[@]}" -- dotnet "$GUEST_STAGE/tests/Broker.EndToEnd.dll" "${RUNNER_OPTIONS[@]}" -trait- machine=host "$@" "${arguments[@]}"
}

# What takes too long for every run. The broker is killed BAR_BROKER_KILLS times (10), with the choices of BAR_BROKER_SEED if set.
part_vm_long() {
    stage_once
    [[ $staged == yes ]] || return 0
    check_tests vm-long run_long_scenarios_in_vm
    grep -hE '^([0-9]+ kills, seed|kill [0-9]+:)' "$results/vm-long.log" || true
}

run_long_scenarios_in_vm() {
    local vm kills=${BAR_BROKER_KILLS:-10} seed=()
    vm=$(make_results vm-long)
    [[ -z ${BAR_BROKER_SEED:-} ]] || seed=(--env "BAR_BROKER_SEED=$BAR_BROKER_SEED")
    boot_scenarios "$vm" --timeout "$((VM_TIMEOUT + 120 * kills))" --env "BAR_BROKER_KILLS=$kills" "${seed[@]}" -- -trait length=long
}

# written_through_a_lease DIR: what a scenario wrote in the machine stands in the memory behind the device, outside of it.
written_through_a_lease() {
    local offset expected found
    read -r offset expected <"$1/written-through-a-lease"
    found=$(od -A n -t x4 -j "$offset" -N 4 "$1/ivshmem.bin" | tr -d ' ')
    echo "at $offset the backing file has $found; a client wrote $expected"
    [[ $found == "$expected" ]]
}

# The module, its node and its groups, as an operator installs them.
part_install() {
    local releases
    releases=$(newest_releases)
    check_tests install install_in_vm "$releases"
}

# install_in_vm RELEASES: for these kernels.
install_in_vm() {
    "$root/tests/Install/run.sh" --kernels "$1" "$(make_results install)"
}

# make_results NAME: prints a directory for the logs of a part's processes.
make_results() {
    mkdir -p "$results/$1"
    printf '%s\n' "$results/$1"
}

built='' staged=''

# build_once: builds the solution, once a run; `built` is yes when that worked.
build_once() {
    if [[ -z $built ]]; then
        check build build_solution
        built=$(yes_if "$status")
    fi
}

# stage_once: publishes what end-to-end tests start into `stage`, once a run; `payload` is its root for the guest, `staged`
# is yes when that worked.
stage_once() {
    build_once
    if [[ -z $staged && $built == yes ]]; then
        payload=$scratch/payload
        stage=$payload$GUEST_STAGE
        check stage make_stage
        staged=$(yes_if "$status")
    fi
}

yes_if() {
    if (($1 == 0)); then
        echo yes
    else
        echo no
    fi
}

make_stage() {
    local buf
    publish_program Broker "$stage/broker" --no-build
    publish_program tests/Probe "$stage/probe" --no-build
    publish_program tests/Broker.EndToEnd "$stage/tests" --no-build
    buf=$(buf_binary)
    install -m 755 "$buf" "$stage/buf"
    stage_bar_lease "$stage"
    make_readable "$payload"
}
