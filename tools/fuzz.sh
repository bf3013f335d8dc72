#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Builds the fuzz targets of tests/fuzz and runs each for a time: tools/fuzz.sh [SECONDS a target, default 600] [TARGET …]. A crash, an input
# that takes 10 s, or one that asks for 64 MiB at once is a finding: its input is left in build/fuzz/found. Mend it, and copy the input to
# tests/fuzz/corpus/TARGET, where every test run feeds it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-600}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "wgf: usage: tools/fuzz.sh [SECONDS] [TARGET ...], got '$seconds'" >&2; exit 2; }
shift || true
command -v clang++-16 >/dev/null || { echo "wgf: please run: sudo apt-get install -y --no-install-recommends clang-16 libclang-rt-16-dev" >&2; exit 1; }
cmake --preset fuzz
cmake --build --preset fuzz

targets=("$@")
if [[ ${#targets[@]} -eq 0 ]]; then
  for header in tests/fuzz/*_fuzz.hpp; do
    name=${header##*/}
    targets+=("${name%_fuzz.hpp}")
  done
fi
failed=()
for target in "${targets[@]}"; do
  work=build/fuzz/work/$target found=build/fuzz/found/$target
  mkdir -p "$work" "$found"
  printf '\n== %s, %s s\n' "$target" "$seconds"
  # Inputs that reach new code are kept in the first folder from run to run; the seeds are written there at the start.
  WGF_FUZZ_SEEDS=$work "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
    -malloc_limit_mb=64 -print_final_stats=1 -artifact_prefix="$found/" "$work" "tests/fuzz/corpus/$target" || failed+=("$target")
done
if [[ ${#failed[@]} -gt 0 ]]; then
  echo "wgf: findings of ${failed[*]} are in build/fuzz/found" >&2
  exit 1
fi
