# shellcheck shell=bash disable=SC2154
# The stress program's part of run.sh. Sourced by it alone, after parts.sh and on the same terms.

# Seconds of each of the long runs.
readonly STRESS_SECONDS=${BAR_LEASE_STRESS_SECONDS:-120}

stress_once() {
    need_packages gcc libc6-dev
    "$root/tests/Kmod/stress.sh" --results "$(make_results "$1")" "${@:2}"
}

# In the default run: long enough for every operation to have happened.
stress_short() {
    stress_once vm-stress-short --root-port --seconds 10
}

# The long ones. Where there are two processors the device is suspended seldom or never: the emulator bears no more, see
# Vm/README.md.
part_vm_stress() {
    check_tests stress-one-cpu stress_once stress-one-cpu --seconds "$STRESS_SECONDS"
    check_tests stress-root-port stress_once stress-root-port --root-port --seconds "$STRESS_SECONDS"
    check_tests stress-two-cpus stress_once stress-two-cpus --cpus 2 --suspend-ms 0 --seconds "$STRESS_SECONDS"
    check_tests stress-two-cpus-suspends stress_once stress-two-cpus-suspends --cpus 2 --root-port --suspend-ms 1000 \
        --seconds "$(((STRESS_SECONDS + 3) / 4))"
    # What was done, for people: the counts, the seeds and that there were no violations.
    grep -hE '^(seed|count:|violations)' "$results"/stress-*.log || true
}
