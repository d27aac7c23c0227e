#!/bin/bash
# The simulator: 50 seeds of 30 s (LONG=1: 500 of 60 s), some more with members that change and of whole clusters, and
# one seed twice, which must end in the same hash.
set -u
cd "$(dirname "$0")/../.."
quorate="${QUORATE_BIN:-${BUILD:-build}/quorate}"
seeds=50 until=30s
[ -z "${LONG:-}" ] || { seeds=500; until=60s; }
passed=0 failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$quorate" sim --seeds "1-$seeds" --until $until --jobs "$(nproc)" >"$log" 2>&1
status=$?
grep -vE '^seed [0-9]+ trace-hash [0-9a-f]{16}$' "$log" | tail -n 60
done_seeds=$(grep -cE '^seed [0-9]+ trace-hash [0-9a-f]{16}$' "$log")
bad=$(grep -c '^replay: ' "$log")
passed=$((done_seeds - bad))
failed=$((seeds - passed))
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1

# Groups whose members change while faults strike; whole clusters, with an operator at work; and with entries in memory.
changing=$((seeds / 5))
for options in "--nodes 5 --founders 3" "--cluster" "--memory"; do
    # shellcheck disable=SC2086
    if "$quorate" sim --seeds "1-$changing" --until $until --jobs "$(nproc)" $options >"$log.members" 2>&1; then
        passed=$((passed + changing))
    else
        grep -vE '^seed [0-9]+ trace-hash [0-9a-f]{16}$' "$log.members" | tail -n 20
        failed=$((failed + 1))
    fi
done
rm -f "$log.members"

hash_of() { "$quorate" sim --seeds 7-7 --until $until --jobs 0 | grep '^seed 7 '; }
if [ -n "$(hash_of)" ] && [ "$(hash_of)" = "$(grep '^seed 7 ' "$log")" ]; then
    passed=$((passed + 1))
else
    echo "seed 7 ended in another hash than before"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
