#!/bin/bash
# Starts the release binary of this repository and prints the endpoints as
# JSON. Everything is under $WORKDIR. Listens on loopback only.
#
#   WORKDIR   where configuration, log and mail go       (/var/tmp/mailbench/waxwing)
#   WAXWING   the program                                (target/release/waxwing)
#   USERS     users u0..uN-1, password "secret"          (32)
#   BASEPORT  smtp = +25, lmtp = +24, imap = +43, pop3 = +10, submission = +87     (23000)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
WORKDIR=${WORKDIR:-/var/tmp/mailbench/waxwing}
WAXWING=${WAXWING:-${CARGO_TARGET_DIR:-$root/target}/release/waxwing}
USERS=${USERS:-32} BASEPORT=${BASEPORT:-23000}
SMTP=$((BASEPORT + 25)) LMTP=$((BASEPORT + 24)) IMAP=$((BASEPORT + 43)) POP3=$((BASEPORT + 10))
SUBMISSION=$((BASEPORT + 87))
DOMAIN=bench.test

[ -x "$WAXWING" ] || { echo "$WAXWING is missing: run \`make build\` first" >&2; exit 1; }
if [ -e "$WORKDIR/pid" ]; then echo "already up: $WORKDIR/pid exists" >&2; exit 1; fi
mkdir -p "$WORKDIR"
cat > "$WORKDIR/waxwing.toml" <<CONF
hostname = "mx.$DOMAIN"
data = "$WORKDIR/data"
log = "warn"

[listen]
smtp = ["127.0.0.1:$SMTP"]
submission = ["127.0.0.1:$SUBMISSION"]
lmtp = ["127.0.0.1:$LMTP"]
imap = ["127.0.0.1:$IMAP"]
pop3 = ["127.0.0.1:$POP3"]

[auth]
cleartext_on_loopback = true
failures_per_minute = 0
CONF

ulimit -n "$(ulimit -Hn)"
setsid "$WAXWING" --config "$WORKDIR/waxwing.toml" serve > "$WORKDIR/log" 2>&1 < /dev/null &
pid=$!
echo "$pid" > "$WORKDIR/pid"

for port in $SMTP $LMTP $IMAP $POP3; do
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2
        sleep 0.1
    done
    echo "nothing listens on port $port; see $WORKDIR/log" >&2
    exit 1
done

cli() { "$WAXWING" --config "$WORKDIR/waxwing.toml" "$@"; }
if ! cli domain list | grep -q "^$DOMAIN "; then
    cli domain add "$DOMAIN" >&2
    for ((n = 0; n < USERS; n++)); do echo "u$n@$DOMAIN secret"; done | cli account add --from - >&2
fi

cat <<JSON | tee "$WORKDIR/endpoints.json"
{"name": "waxwing", "host": "127.0.0.1", "smtp": $SMTP, "lmtp": $LMTP, "imap": $IMAP, "pop3": $POP3, "submission": $SUBMISSION,
 "user": "u{n}@$DOMAIN", "pass": "secret", "users": $USERS, "pids": [$pid]}
JSON
