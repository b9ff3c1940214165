#!/usr/bin/env bash
# Usage: selftest.sh
#
# Proves that run.sh counts what it runs beside other things, whatever becomes of that, and that nothing outlives it: with parts
# that only pretend. Half a minute or so. The last line is `N passed, N failed`.
# shellcheck source-path=SCRIPTDIR disable=SC2317
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=sides.sh
. "$here/sides.sh"
# shellcheck source=tally.sh
. "$here/tally.sh"
# Seconds that nobody else sleeps.
export LONG=${LONG:-98765.$$}

# pretend SIDE [MORE]: a run of one side and one check, and of MORE, in place of run.sh's parts.
pretend() {
    scratch=$(mktemp -d)
    results=$scratch
    trap 'end_launched; rm -rf "$scratch"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    # Whatever this machine has.
    nproc() { echo "${PROCESSORS:-2}"; }
    beside it "side_$1"
    check_tests main tests 2 0
    [[ -z ${2:-} ]] || "$2"
    if is_side it; then
        join it
    fi
    verdict
}

tests() {
    echo "Total: $(($1 + $2)), Errors: 0, Failed: $2, Skipped: 0"
}

long() {
    sleep "$LONG" &
    sleep "$LONG"
}

side_good() {
    check_tests side-tests tests 5 0
    sleep 1
    check side-check true
}

side_bad() {
    check_tests side-tests tests 5 1
    check side-check false
}

side_stopped_by_an_error() {
    check_tests side-tests tests 5 0
    false
    check side-check true
}

side_that_leaves() {
    check_tests side-tests tests 5 0
    exit 0
}

# What a machine that runs out of memory does.
side_killed() {
    check_tests side-tests tests 5 0
    check side-check killed
    check side-next true
}

killed() {
    sleep "$LONG" &
    # The side itself; run_logged's subshell is in its group.
    kill -KILL "$(ps -o pgid= -p "$BASHPID" | tr -d ' ')"
    sleep "$LONG"
}

side_check_killed() {
    check side-check leaves_others_and_is_killed
    check side-next nothing_is_left
}

side_check_that_leaves_others() {
    check side-check leaves_others
    check side-next nothing_is_left
}

more_check_killed() {
    check long leaves_others_and_is_killed
    check next nothing_is_left
}

leaves_others() {
    sleep "$LONG" &
    (sleep "$LONG" &)
}

leaves_others_and_is_killed() {
    leaves_others
    kill -KILL "$BASHPID"
}

nothing_is_left() {
    [[ $(count_long) == 0 ]]
}

side_killed_before_its_log() {
    side_note begun side-check
    kill -KILL "$BASHPID"
}

side_long() {
    check_tests side-tests tests 5 0
    check side-check long
}

more_long() {
    check long long
}

good=0 bad=0

# expect WHAT FOUND EXPECTED
expect() {
    if [[ $2 == "$3" ]]; then
        echo "ok    $1"
        good=$((good + 1))
    else
        echo "FAIL  $1: found '$2', expected '$3'"
        bad=$((bad + 1))
    fi
}

# run SIDE [MORE]: sets `status`, and `output` to what it printed.
run() {
    launch exec "$0" --pretend "$@" >"$own_scratch/output" 2>/dev/null
    wait_for_launched "$launched"
    output=$(<"$own_scratch/output")
}

count_long() {
    pgrep -cf "^sleep $LONG" || true
}

# ends_with SIGNAL STATUS: a run that gets SIGNAL ends with STATUS, and so does all that it started.
ends_with() {
    local try
    # Whoever started us may have told us to ignore SIGINT, and then so would they.
    launch exec env --default-signal=INT "$0" --pretend long more_long >/dev/null 2>&1
    for ((try = 0; try < 300 && $(count_long) < 4; try++)); do
        sleep 0.1
    done
    expect 'a side and a check go on at once' "$(count_long)" 4
    kill -"$1" "$launched"
    wait_for_launched "$launched"
    expect "SIG$1 ends a run" "$status" "$2"
    expect 'and all that it started' "$(count_long)" 0
}

if [[ ${1:-} == --pretend ]]; then
    pretend "${@:2}"
    exit
fi
# What is pretended has process groups of its own, which nobody but us ends.
own_scratch=$(mktemp -d)
trap 'end_launched; rm -rf "$own_scratch"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
run good
expect 'a side is counted' "${output##*$'\n'}" '8 passed, 0 failed'
expect 'in its turn' "$(awk '{ printf "%s ", $1 }' <<<"$output")" 'main side-tests side-check 8 '
expect 'and the run is good' "$status" 0
PROCESSORS=1 run good
expect 'and as much where there is one processor' "${output##*$'\n'}" '8 passed, 0 failed'
run bad
expect "a side's failures are counted" "${output##*$'\n'}" '7 passed, 2 failed'
expect 'and are those of the run' "$status" 1
run stopped_by_an_error
expect 'a side that stops half-way is a failure' "${output##*$'\n'}" '7 passed, 1 failed'
run that_leaves
expect 'even with a good status' "${output##*$'\n'}" '7 passed, 1 failed'
expect 'which the run has not' "$status" 1
run killed
expect 'a side that is killed is a failure' "${output##*$'\n'}" '7 passed, 1 failed'
expect 'and named after what it was at' "$(grep -c 'side-check *FAILED: broken off' <<<"$output")" 1
expect 'and leaves nothing behind' "$(count_long)" 0
run killed_before_its_log
expect 'also where it has no log yet' "${output##*$'\n'}" '2 passed, 1 failed'
run check_killed
expect 'a check that is killed on a side leaves nothing to the next' "${output##*$'\n'}" '3 passed, 1 failed'
run check_that_leaves_others
expect 'nor does one that ends' "${output##*$'\n'}" '4 passed, 0 failed'
run good more_check_killed
expect 'nor one that is on no side' "${output##*$'\n'}" '9 passed, 1 failed'
ends_with TERM 143
ends_with INT 130
echo "$good passed, $bad failed"
((bad == 0))
