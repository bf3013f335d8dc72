#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Sets up what is missing, builds everything in build/release and runs the tests.
#   ./test.sh                  all of them
#   ./test.sh --torch          with LibTorch (0.9 GB) installed first, if it is missing, and its backend's tests
#   ./test.sh -R gaussian      any options of ctest
# WGF_CMAKE_FLAGS holds further options for CMake, as in WGF_CMAKE_FLAGS=-DWGF_WARNINGS_AS_ERRORS=ON.
set -euo pipefail
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup.sh"

flags=()
if [[ ${1:-} == --torch ]]; then
  shift
  setup torch
  flags+=(-DWGF_WITH_TORCH=ON)
else
  setup test
fi
jobs=$(jobs_for_building)
mkdir -p "$root/build"
log=$root/build/test.log
: >"$log"
say "building with $jobs jobs (log: build/test.log)"
read -ra further <<<"${WGF_CMAKE_FLAGS:-}"
configure "$log" -DWGF_TESTS=ON -DWGF_EXAMPLES=ON -DWGF_BENCHMARKS=ON "${flags[@]}" "${further[@]}"
grep -h "the component torch is off" "$log" | tail -n 1 | sed 's/^-- //; s/$/; its tests are skipped, .\/test.sh --torch installs it/' || true
logged "$log" cmake --build "$root/build/release" --parallel "$jobs"
say "testing (results: build/release/Testing/Temporary/LastTest.log)"
ctest --test-dir "$root/build/release" --output-on-failure --no-tests=error --parallel "$jobs" "$@"
