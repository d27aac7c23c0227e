#!/bin/bash
# Run every suite, or those named: tests/run.sh [SUITE...]
#
# A suite is tests/NAME/run.sh or run.py. It gets BUILD (where the release binary and the unit tests
# are), LONG=1 for its long version, and a place for temporary files in TMPDIR. It exits 0 if nothing
# failed, and its last line is `N passed, N failed, N skipped`. Suites run one after another, unit
# first, then by name. The last line here is the sum. All of it, short, takes under 15 minutes on two cores.
set -u
cd "$(dirname "$0")/.."
export BUILD="${BUILD:-build}" LONG="${LONG:-}"
export QUORATE_BIN="$PWD/$BUILD/quorate"
case $BUILD in /*) QUORATE_BIN="$BUILD/quorate" ;; esac

passed=0 failed=0 skipped=0
summary=()

# Suites that choose their length by a flag.
declare -A length=([chaos]=--short)
[ -z "$LONG" ] || length=([chaos]=--long)

# count NAME EXIT_STATUS SECONDS LOG: add up a suite's last line; a suite without one failed or passed whole.
count() {
    local name=$1 status=$2 seconds=$3 last
    last=$(tail -n 1 "$4")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        local p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[3]}
        if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then f=1; fi
    else
        local p=0 f=0 s=0
        if [ "$status" -eq 0 ]; then p=1; else f=1; fi
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    summary+=("$(printf '%-10s %5d passed %4d failed %4d skipped %5d s' "$name" "$p" "$f" "$s" "$seconds")")
}

run_suite() {
    local name=$1 started=$SECONDS log
    shift
    log=$(mktemp)
    echo "=== $name"
    "$@" 2>&1 | tee "$log"
    count "$name" "${PIPESTATUS[0]}" $((SECONDS - started)) "$log"
    rm -f "$log"
}

wanted() {
    [ ${#only[@]} -eq 0 ] && return 0
    local name
    for name in "${only[@]}"; do [ "$name" = "$1" ] && return 0; done
    return 1
}

finish() {
    echo "=== summary"
    printf '%s\n' "${summary[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

only=("$@")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/quorate-tests-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export TMPDIR="$scratch"

build() {
    { [ -f "$BUILD/build.ninja" ] || cmake -S . -B "$BUILD" -G Ninja; } && ninja -C "$BUILD"
}
started=$SECONDS
log=$(mktemp)
if ! build >"$log" 2>&1; then
    tail -n 60 "$log"
    count build 1 $((SECONDS - started)) "$log"
    finish
fi

if wanted unit; then run_suite unit tests/unit/run.sh; fi
for suite in tests/*/run.sh tests/*/run.py; do
    name=$(basename "$(dirname "$suite")")
    if [ -x "$suite" ] && [ "$name" != unit ] && wanted "$name"; then
        run_suite "$name" "$suite" ${length[$name]:-}
    fi
done
finish
