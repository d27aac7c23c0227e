#!/bin/bash
# The *_test.c programs of src/, all cases counted: in the release build, and the house rules.
# LONG=1 also runs them under the sanitizers.
set -u
cd "$(dirname "$0")/../.."
BUILD="${BUILD:-build}"
passed=0 failed=0 skipped=0

# cases DIR: run ctest there and count cmocka's cases; a program that ends without counting is one failure.
cases() {
    local log="$1/Testing/Temporary/LastTest.log" p f broken
    ctest --test-dir "$1" -j "$(nproc)" --output-on-failure --no-tests=error -Q >/dev/null
    p=$(grep -ao '\[  PASSED  \] [0-9]* test' "$log" | awk '{s += $4} END {print s + 0}')
    f=$(grep -ao '\[  FAILED  \] [0-9]* test(s)' "$log" | awk '{s += $4} END {print s + 0}')
    broken=$(awk '/^[0-9]+\/[0-9]+ Test: /{name = $3; counted = 0}
                  /\[  (PASSED|FAILED)  \] [0-9]* test/{counted = 1}
                  /^Test (Failed|Timeout)/{if (!counted) print name}' "$log")
    if [ "$f" -gt 0 ] || [ -n "$broken" ]; then
        grep -aE '^\[  (ERROR|FAILED)|^\[   LINE|ERROR: |runtime error' "$log" | sort -u | head -n 60
        for name in $broken; do echo "$name: ended without a result"; f=$((f + 1)); done
    fi
    passed=$((passed + p)) failed=$((failed + f))
    # A skipped test's name says why: faults__are_not_compiled_in, ...
    grep -ao '^\[  SKIPPED \] [a-z_0-9]*__.*' "$log" | sort -u
    skipped=$((skipped + $(grep -ao '\[  SKIPPED \] [0-9]* test' "$log" | awk '{s += $4} END {print s + 0}')))
}

cases "$BUILD"
if [ -n "${LONG:-}" ]; then
    for sanitizer in address,undefined thread; do
        dir="build-${sanitizer%%,*}"
        [ -f "$dir/build.ninja" ] ||
            cmake -S . -B "$dir" -G Ninja -DCMAKE_C_COMPILER=clang -DQUORATE_SANITIZE=$sanitizer >/dev/null
        if ninja -C "$dir" >/dev/null; then cases "$dir"; else failed=$((failed + 1)); fi
    done
fi
if tidy=$(tools/tidy.py "$BUILD"); then
    passed=$((passed + 1))
else
    grep -v '^ ' <<<"$tidy"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
