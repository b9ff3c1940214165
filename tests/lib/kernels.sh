# shellcheck shell=bash disable=SC2154
# The parts of run.sh that are about kernels other than the one that everything else runs on. Sourced by it alone, after
# parts.sh, and bound by the same rules.

# kernel_releases: prints those that the distribution has headers of, newest last.
kernel_releases() {
    "$root/tests/Vm/kernel.sh" --list | cut -d ' ' -f 1
}

# newest_releases: prints of these the newest of each series (7.2, 7.3), newest last.
newest_releases() {
    kernel_releases | tac | awk -F . '!seen[$1 "." $2]++' | tac
}

# The module for the newest kernel of each series, which is where an interface changes; its tests' own modules for the one that the
# tests run on. vm-kernels has every kernel.
part_module() {
    local release releases
    releases=$(newest_releases)
    for release in $releases; do
        check "module-$release" compile_module "$release" "$root/deploy/kmod/bar_lease"
    done
    check "test-modules-$release" compile_module "$release" "$root"/tests/Kmod/*/ "$root/tests/Vm/faulty"
    build_once
    [[ $built == yes ]] || return 0
    check_tests uapi test_uapi_copies
}

# What the broker has of the kernel's structs and numbers, against the headers of the newest kernel: the machine's own may be
# older than the interfaces.
test_uapi_copies() {
    local chroot headers
    chroot=$("$root/tests/Vm/chroot.sh" path)
    headers=$(printf '%s\n' "$chroot"/usr/src/linux-headers-*-common/include/uapi | sort -V | tail -n 1)
    need_packages gcc libc6-dev
    BAR_BROKER_KERNEL_HEADERS=$headers dotnet "$root/tests/Broker.Tests/bin/Release/net10.0/Broker.Tests.dll" "${RUNNER_OPTIONS[@]}" \
        -trait headers=kernel
}

# compile_module RELEASE DIR...: without a warning, W=1's and sparse's included.
compile_module() {
    local dir
    export BAR_BROKER_VM_KERNEL=$1
    for dir in "${@:2}"; do
        if [[ -e $dir/Kbuild ]]; then
            "$root/tests/Vm/module.sh" "$dir"
            "$root/tests/Vm/module.sh" --sparse "$dir"
        fi
    done
}

# test_module_on KERNEL NAME: the module's tests, in the virtual machine; logs go to results/NAME.
test_module_on() {
    need_packages gcc libc6-dev
    "$root/tests/Kmod/run.sh" --kernel "$1" "$(make_results "$2")"
}

part_vm_debug() {
    check debug-kernel "$root/tests/Vm/debug-kernel.sh"
    ((status == 0)) || return 0
    check_tests debug-selftest "$root/tests/Vm/debug-selftest.sh" "$(make_results debug-selftest)"
    check_tests vm-debug test_module_on debug vm-debug
    check_tests vm-debug-stress stress_once vm-debug-stress --kernel debug --root-port --seconds "$STRESS_SECONDS"
}

part_vm_kernels() {
    local release releases
    releases=$(kernel_releases)
    check_tests install install_in_vm "$releases"
    for release in $releases; do
        check "module-$release" compile_module "$release" "$root/deploy/kmod/bar_lease"
        check_tests "vm-$release" test_module_on "$release" "vm-$release"
    done
}

# The scenarios on a kernel with IOMMUFD, which the distribution's is built without: the debug kernel, whose checks make
# everything several times slower. Without the foreign gRPC client's: it takes minutes to start there, and has nothing to do
# with how devices are opened. Without unplugging, which does not end there: the kernel is built without ACPI hotplug. Without the
# driver that does not let go: it does let go after some seconds by the clock, and everything else there takes eight times as long.
part_vm_iommufd() {
    stage_once
    [[ $staged == yes ]] || return 0
    check_tests vm-iommufd run_scenarios_with_iommufd
}

run_scenarios_with_iommufd() {
    local vm
    vm=$(make_results vm-iommufd)
    export BAR_BROKER_VM_KERNEL=debug
    boot_scenarios "$vm" --memory 4096 -- -trait- length=long \
        -class- BarBroker.EndToEnd.ForeignClientScenarios -class- BarBroker.EndToEnd.StuckScenarios \
        -method- '*.A_board_that_is_unplugged_*' -method- '*.A_board_that_returns_*'
}

# Kernels that can't do it: the broker has to say so, and do nothing by halves.
part_vm_old() {
    local kernel command
    stage_once
    [[ $staged == yes ]] || return 0
    for kernel in $("$root/tests/Vm/kernel.sh" --list-old); do
        check "vm-$kernel" boot_broker_on "$kernel" "$results/vm-$kernel"
        for command in doctor run; do
            check "vm-$kernel-$command" says_too_old "$results/vm-$kernel/$command"
        done
    done
}

# boot_broker_on KERNEL RESULTS: runs `bar-broker doctor` and `bar-broker run` on KERNEL, with a device bound to vfio-pci; what
# each printed goes to RESULTS/doctor.log and run.log, and how it ended to .status.
boot_broker_on() {
    local policy=$scratch/old-kernel
    install -D -m 644 "$root/tests/Vm/old-kernel-policy.json" "$policy/etc/bar-broker/policy.json"
    # shellcheck disable=SC2016 # the guest's
    BAR_BROKER_VM_KERNEL=$1 "$root/tests/Vm/boot.sh" --results "$2" --payload "$payload" --payload "$policy" \
        --timeout 600 -- sh -c '
        uname -r
        for command in doctor run; do
            timeout 120 dotnet "$0/broker/bar-broker.dll" "$command" --config /etc/bar-broker/policy.json >"/results/$command.log" 2>&1
            echo "$?" >"/results/$command.status"
        done' "$GUEST_STAGE"
}

# says_too_old FILES: FILES.log says in one sentence from which kernel on it works, and FILES.status is that of an unfit kernel.
says_too_old() {
    local code
    code=$(<"$1.status")
    cat "$1.log"
    echo "exit status $code"
    ((code == 3)) && [[ $(grep -c 'This kernel (.*) is too old: bar-broker needs Linux 6\.19 or newer' "$1.log") == 1 ]] &&
        # doctor sums up in a second line; nothing else is said.
        (($(wc -l <"$1.log") <= 2))
}
