# shellcheck shell=bash disable=SC2154
# What passed and what failed, over all parts of a run. Sourced after sides.sh; logs go to `results`.
#
# Nothing here may be called in a condition: bash would then let the functions that it runs go on after an error.

passed=0
failed=0

# count GOOD BAD
count() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    side_note counted "$1" "$2"
}

# check NAME COMMAND...: one check; its output stays in $results/NAME.log unless it fails.
check() {
    run_logged "$1" "${@:2}"
    if ((status == 0)); then
        printf '  %-28s ok, %d s\n' "$1" "$seconds"
        count 1 0
    else
        printf '  %-28s FAILED, exit status %d, %d s\n' "$1" "$status" "$seconds"
        show_end "$1"
        count 0 1
    fi
}

# check_tests NAME COMMAND...: a run of test programs, each counted by the totals that it prints:
# xunit's "Total: N, Errors: N, Failed: N, ..." or a line "N passed, N failed".
# A run that fails without a failed test, or has no test at all, counts as one failure.
check_tests() {
    local good bad
    run_logged "$1" "${@:2}"
    read -r good bad < <(totals "$results/$1.log")
    if ((status == 0 && bad == 0 && good > 0)); then
        printf '  %-28s %4d passed, %d s\n' "$1" "$good" "$seconds"
        count "$good" 0
        return
    fi
    printf '  %-28s %4d passed, %d FAILED, exit status %d, %d s\n' "$1" "$good" "$bad" "$status" "$seconds"
    show_end "$1"
    count "$good" "$((bad > 0 ? bad : 1))"
}

# totals LOG: prints how many tests passed and failed by all totals in LOG.
totals() {
    tr -d '\r' <"$1" | awk '
        match($0, /Total: [0-9]+, Errors: [0-9]+, Failed: [0-9]+/) {
            split(substr($0, RSTART, RLENGTH), number, /[^0-9]+/)
            good += number[2] - number[3] - number[4]; bad += number[3] + number[4]
        }
        /^[0-9]+ passed, [0-9]+ failed$/ { good += $1; bad += $3 }
        END { print good + 0, bad + 0 }'
}

# run_logged NAME COMMAND...: with its output in $results/NAME.log; sets `status` and `seconds`.
run_logged() {
    local start=$SECONDS
    side_note begun "$1"
    if [[ -n $side ]]; then
        # In the side's own process group: whoever ends that ends this.
        set +e
        (
            set -e
            "${@:2}"
        ) >"$results/$1.log" 2>&1 </dev/null
        status=$?
        set -e
        end_others
    else
        launch "${@:2}" >"$results/$1.log" 2>&1
        wait_for_launched "$launched"
    fi
    seconds=$((SECONDS - start))
}

show_end() {
    # A side may be killed before there is one.
    [[ -e $results/$1.log ]] || return 0
    printf -- '--- the end of %s\n' "$results/$1.log"
    tail -n 60 "$results/$1.log" | sed 's/^/    /'
    echo '---'
}

# verdict: the last line, and the exit status.
verdict() {
    printf '%d passed, %d failed\n' "$passed" "$failed"
    ((failed == 0 && passed > 0))
}
