# shellcheck shell=bash disable=SC2154
# Fuzzing's part of run.sh. Sourced by it alone, after parts.sh and on the same terms.

# BAR_BROKER_FUZZ_SECONDS of each target (20), with the choices of BAR_BROKER_SEED if set. What shows a fault is left in the checkout, in
# tests/Fuzz/regressions, where the unit tests find it.
part_fuzz() {
    build_once
    [[ $built == yes ]] || return 0
    check_tests fuzz fuzz_all
    grep -hE '^[a-z-]+: ' "$results/fuzz.log" || true
}

fuzz_all() {
    local seed=${BAR_BROKER_SEED:-$RANDOM}
    dotnet "$root/tests/Fuzz/bin/Release/net10.0/bar-fuzz.dll" "$root/tests/Fuzz" "${BAR_BROKER_FUZZ_SECONDS:-20}" "$seed"
}
