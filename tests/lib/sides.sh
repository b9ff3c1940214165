# shellcheck shell=bash disable=SC2154
# Checks that run beside others. Sourced by run.sh, before tally.sh and bound by the same rule; `scratch` is run.sh's own.
#
# Two things run at once, no more: there are two processors, and a virtual machine is emulated on one of them. They are what
# run.sh does itself and one side. A side's output waits for `join`, so that all of it always comes in the same order. Its
# counts are written down check by check: who is killed loses none that it made, and is a failure itself.

# The process groups that run, by the processes that lead them.
declare -A launches=()
# The sides that nobody has joined yet, by name: the process, then the exit status.
declare -A side_process=() side_status=()
# On a side: its name.
side=''

# beside NAME FUNCTION [ARGS...]: starts FUNCTION, which makes checks, once the side before it has ended. Where there is one
# processor only, it has ended when this returns.
beside() {
    wait_for_sides
    : >"$scratch/$1.side"
    launch be_side "$@" >"$scratch/$1.out" 2>&1
    side_process[$1]=$launched
    if (($(nproc) < 2)); then
        wait_for_sides
    fi
}

be_side() {
    side=$1
    "${@:2}"
    side_note ended
}

# is_side NAME: whether there is one to join.
is_side() {
    [[ -n ${side_process[$1]:-} ]]
}

# join NAME: waits for the side, prints what it printed and counts what it counted.
join() {
    local word first second begun='' ended=no
    wait_for_sides
    cat "$scratch/$1.out"
    while read -r word first second; do
        case $word in
            begun) begun=$first ;;
            counted)
                count "$first" "$second"
                begun=''
                ;;
            ended) ended=yes ;;
        esac
    done <"$scratch/$1.side"
    if [[ $ended == no ]] || ((side_status[$1])); then
        printf '  %-28s FAILED: broken off, exit status %d\n' "${begun:-$1}" "${side_status[$1]}"
        [[ -z $begun ]] || show_end "$begun"
        count 0 1
    fi
    unset "side_process[$1]" "side_status[$1]"
}

# join_all: those that are left.
join_all() {
    local name
    for name in "${!side_process[@]}"; do
        join "$name"
    done
}

wait_for_sides() {
    local name
    for name in "${!side_process[@]}"; do
        if [[ -z ${side_status[$name]:-} ]]; then
            wait_for_launched "${side_process[$name]}"
            side_status[$name]=$status
        fi
    done
}

# side_note WORD...: on a side, writes down how far it is.
side_note() {
    [[ -z $side ]] || printf '%s\n' "$*" >>"$scratch/$side.side"
}

# launch COMMAND...: starts it in the background, strictly, in a process group of its own; sets `launched`.
launch() {
    # Without job control it would be in our group, and deaf to SIGINT.
    set -m
    (
        set -e +m
        "$@"
    ) </dev/null &
    launched=$!
    set +m
    launches[$launched]=yes
}

# wait_for_launched PROCESS: sets `status`. What PROCESS started ends with it, whatever became of it.
wait_for_launched() {
    status=0
    # bash would report who was killed.
    wait "$1" 2>/dev/null || status=$?
    kill -KILL -- "-$1" 2>/dev/null || true
    unset "launches[$1]"
}

# end_others: on a side, ends what a check has left there: all of the side's process group but the side itself.
end_others() {
    local own=$BASHPID file line state group found=yes
    # Until there is none: one may just have started another.
    while [[ $found == yes ]]; do
        found=no
        for file in /proc/[0-9]*/stat; do
            read -r line 2>/dev/null <"$file" || continue
            # PID (NAME) STATE PARENT GROUP ...; a name may have anything in it.
            read -r state _ group _ <<<"${line##*) }"
            if [[ $group == "$own" && ${line%% *} != "$own" && $state != [ZX] ]]; then
                kill -KILL "${line%% *}" 2>/dev/null || true
                found=yes
            fi
        done
    done
}

# end_launched: ends what runs, at exit. What does not end within ten seconds is killed.
end_launched() {
    local try process
    for process in "${!launches[@]}"; do
        kill -TERM -- "-$process" 2>/dev/null || true
    done
    for ((try = 0; try < 100; try++)); do
        for process in "${!launches[@]}"; do
            kill -0 -- "-$process" 2>/dev/null || unset "launches[$process]"
        done
        ((${#launches[@]})) || return 0
        sleep 0.1
    done
    for process in "${!launches[@]}"; do
        kill -KILL -- "-$process" 2>/dev/null || true
    done
}
