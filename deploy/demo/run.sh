#!/bin/sh
# Usage: run.sh STAGE POLICY DOTNET
#
# The demo itself, on the machine that has the device. STAGE has the published broker/ and demo/, and buf.
# POSIX sh: the virtual machine has no other.
set -eu
stage=$1 policy=$2 dotnet=$3
# What the policies say.
runtime=/run/bar-broker-demo
group=2900
scratch=$(mktemp -d)
pids=''

finish() {
    status=$?
    # shellcheck disable=SC2086 # one word each
    [ -z "$pids" ] || kill $pids 2>/dev/null || true
    wait
    rm -rf "$scratch" "$runtime"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() {
    printf '\n== %s\n' "$*"
}

# await WHAT COMMAND...: until COMMAND succeeds; four minutes at most, for an emulated machine on a busy host.
await() {
    what=$1
    shift
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 2400 ]; then
            echo "run.sh: $what did not happen; the broker's last words:" >&2
            tail -n 20 "$scratch/broker.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

# start_client UID WINDOW: its output goes to the terminal and to a file; its process number to `client`.
start_client() {
    mkfifo "$scratch/$2.pipe"
    tee "$scratch/$2.log" <"$scratch/$2.pipe" &
    # By its path: busybox's shell would take its own setpriv, which can't change users.
    DEMO_UID=$1 /usr/bin/setpriv --reuid="$1" --regid="$group" --clear-groups -- \
        "$dotnet" "$stage/demo/bar-demo.dll" "$runtime/broker.sock" board "$2" >"$scratch/$2.pipe" 2>&1 &
    client=$!
    pids="$pids $client"
}

# has_said WINDOW TEXT: its client has.
has_said() {
    grep -q "$2" "$scratch/$1.log" 2>/dev/null
}

# whole COMMAND...: prints its output in one piece, so that the clients don't write in between.
whole() {
    output=$("$@" 2>&1)
    printf '%s\n' "$output"
}

status() {
    whole "$dotnet" "$stage/broker/bar-broker.dll" status --socket "$runtime/admin.sock"
}

say "The broker, as root"
rm -rf "$runtime"
"$dotnet" "$stage/broker/bar-broker.dll" run --config "$policy" >"$scratch/broker.log" 2>&1 &
pids=$!
await "the broker's start" test -S "$runtime/admin.sock" -a -S "$runtime/broker.sock"
ls -l "$runtime"

say "Two clients, as users 1001 and 1002: each reads its window's identification register, and writes"
# One after the other: two cold starts at once would only slow each other down.
start_client 1001 left
left=$client
await "the first client's start" has_said left 'wrote 1'
start_client 1002 right
await "the second client's start" has_said right 'wrote 1'

say "Who holds what"
status

request='{"window": {"device": "board", "window": "left"}}'
say "The admin takes one back, with somebody else's gRPC client"
printf '%s\n' "buf curl --protocol grpc --http2-prior-knowledge --unix-socket $runtime/admin.sock \\" \
    "    -d '$request' http://localhost/barbroker.v1.Admin/Revoke"
echo "(the same with grpcurl: grpcurl -plaintext -authority localhost -d '$request' \\"
echo "    unix://$runtime/admin.sock barbroker.v1.Admin/Revoke)"
whole "$stage/buf" curl --protocol grpc --http2-prior-knowledge --unix-socket "$runtime/admin.sock" \
    -d "$request" http://localhost/barbroker.v1.Admin/Revoke
ended=0
wait "$left" || ended=$?
kill -USR1 "$client"
await "the other client's going on" has_said right 'goes on:'

say "Who holds what now (the first client ended with status $ended, the other goes on)"
status

say "The end"
# The client before the broker, so that it gives its lease back.
kill "$client"
wait "$client" || true
[ "$ended" -eq 3 ]
