#!/bin/sh
# Fuzzes each target for SECONDS (600), or those named: ./run.sh [TARGET...]. The stable compiler is enough: coverage comes from
# flags that it takes. Seeds are the fixtures; what was found stays in corpus/, failures in artifacts/.
set -eu
cd "$(dirname "$0")"
SECONDS_EACH=${SECONDS_EACH:-600}
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1"
target=${CARGO_TARGET_DIR:-$PWD/target}
host=$(rustc -vV | sed -n "s/^host: //p")
# With a target named, build scripts are built without these flags.
cargo build --release --target "$host"
[ $# -gt 0 ] || set -- parse push header address date encoded_word params base64 quoted_printable builder
for name in "$@"; do
    mkdir -p "corpus/$name" "artifacts/$name"
    "$target/$host/release/$name" -max_total_time="$SECONDS_EACH" -max_len=8192 -timeout=5 -artifact_prefix="artifacts/$name/" "corpus/$name" ../tests/fixtures
done
