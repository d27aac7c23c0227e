#!/bin/bash
# Every *_fuzz.c under AddressSanitizer and UBSan, FUZZ_SECONDS each (20). What was found once
# is kept in tests/fuzz/corpus/NAME and tried first; a new finding is left in build-fuzz/NAME.
set -u
cd "$(dirname "$0")/../.."
seconds="${FUZZ_SECONDS:-20}"
dir=build-fuzz
passed=0 failed=0

[ -f "$dir/build.ninja" ] ||
    cmake -S . -B "$dir" -G Ninja -DCMAKE_C_COMPILER=clang -DQUORATE_FUZZ=ON >/dev/null || exit 1
mapfile -t names < <(find src -name '*_fuzz.c' -printf '%f\n' | sed 's/\.c$//' | sort)
if ! ninja -C "$dir" "${names[@]}" >"$dir/build.log"; then
    tail -n 40 "$dir/build.log"
    echo "0 passed, ${#names[@]} failed, 0 skipped"
    exit 1
fi

fuzz_one() {
    local name=$1 work="$dir/corpus/$1" kept="tests/fuzz/corpus/$1"
    mkdir -p "$work"
    local corpora=("$work")
    [ -d "$kept" ] && corpora+=("$kept")
    "$dir/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$dir/$name-" "${corpora[@]}" >"$dir/$name.log" 2>&1
}

# As many at a time as there are cores.
running=0
declare -A pids
for name in "${names[@]}"; do
    fuzz_one "$name" &
    pids[$name]=$!
    running=$((running + 1))
    if [ "$running" -ge "$(nproc)" ]; then
        wait -n
        running=$((running - 1))
    fi
done
for name in "${names[@]}"; do
    if wait "${pids[$name]}"; then
        passed=$((passed + 1))
        runs=$(grep -ao 'stat::number_of_executed_units: *[0-9]*' "$dir/$name.log" | grep -o '[0-9]*$')
        echo "$name: ${runs:-?} runs in ${seconds} s, no finding"
    else
        failed=$((failed + 1))
        echo "$name: FINDING"
        grep -aE 'ERROR|SUMMARY|runtime error|assertion|panic|Test unit written' "$dir/$name.log" | head -n 10
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
