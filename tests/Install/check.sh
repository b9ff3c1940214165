# shellcheck shell=sh
# Checks and their count. Sourced.

passed=0
failed=0

# check WHAT COMMAND...: COMMAND has to succeed.
check() {
    what=$1
    shift
    if "$@"; then
        echo "ok    $what"
        passed=$((passed + 1))
    else
        echo "FAIL  $what"
        failed=$((failed + 1))
    fi
}

# is VALUE EXPECTED
is() {
    [ "$1" = "$2" ] || {
        echo "      found '$1', expected '$2'"
        false
    }
}

# says TEXT COMMAND...: COMMAND fails, with TEXT in what it prints.
says() {
    text=$1
    shift
    if output=$("$@" 2>&1); then
        echo "      it succeeded: $output"
        return 1
    fi
    case $output in
        *"$text"*) ;;
        *)
            echo "      it says: $output"
            return 1
            ;;
    esac
}

# verdict: the last line, and the exit status.
verdict() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
}
