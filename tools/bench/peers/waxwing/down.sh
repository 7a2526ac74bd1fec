#!/bin/bash
# Ends what up.sh started (by process id); WIPE=1 removes the data too.
set -euo pipefail
WORKDIR=${WORKDIR:-/var/tmp/mailbench/waxwing}
[ -e "$WORKDIR/pid" ] || { echo "not up: no $WORKDIR/pid" >&2; exit 0; }
pid=$(cat "$WORKDIR/pid")
if [ "$(tr '\0' ' ' < "/proc/$pid/cmdline" 2>/dev/null | grep -c -- "--config $WORKDIR/waxwing.toml serve")" = 1 ]; then
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
rm -f "$WORKDIR/pid"
if [ "${WIPE:-0}" = 1 ]; then rm -rf "$WORKDIR"; fi
