# shellcheck shell=bash disable=SC2154
# The part of run.sh that attacks a broker. Sourced by it alone, after parts.sh and on the same terms.

# Descriptors of the broker and of the attacker: few enough that an attack reaches the budgets that follow from them within a slice.
readonly HOSTILE_DESCRIPTORS=4096

# One attack after another, beside a client that must not notice. BAR_BROKER_ATTACKS: the names of some, to make only these.
part_hostile() {
    stage_once
    [[ $staged == yes ]] || return 0
    check stage-hostile stage_hostile
    ((status == 0)) || return 0
    check_tests hostile run_attacks
    grep -h '^hostile ' "$results/hostile.log" || true
}

stage_hostile() {
    publish_program tests/Hostile "$stage/hostile" --no-build
    make_readable "$stage/hostile"
}

run_attacks() {
    local dotnet
    dotnet=$(shared_dotnet "$scratch/dotnet")
    (
        ulimit -n "$HOSTILE_DESCRIPTORS"
        BAR_BROKER_STAGE=$stage BAR_BROKER_RESULTS=$(make_results hostile) "$dotnet" "$stage/hostile/bar-hostile.dll"
    )
}
