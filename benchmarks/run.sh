#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Builds and runs every benchmark on this machine, which should have nothing else to do.
#   benchmarks/run.sh [--json FILE]   FILE (build/benchmarks.json when left out): one flat object with every figure
# The comparison needs a Python with torch (python3-torch or the wheel; $WGF_TORCH_PYTHON names it); its figures are null without.
set -euo pipefail
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/setup.sh"

file=$root/build/benchmarks.json
case ${1:-} in
  --json) file=$(realpath -m "${2:?benchmarks/run.sh: --json needs a file}") ;;
  '') ;;
  *) sed -n '3,6s/^# //p' "${BASH_SOURCE[0]}"; [[ $1 == --help || $1 == -h ]] && exit 0 || exit 2 ;;
esac

setup benchmarks
build=$root/build/benchmarks
mkdir -p "$build"
log=$build/build.log
: >"$log"
logged "$log" cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DWGF_TESTS=OFF -DWGF_EXAMPLES=OFF -DWGF_BENCHMARKS=ON
say "building the benchmarks"
logged "$log" cmake --build "$build"

measure() {
  say "measuring: $1"
  "$build/benchmarks/$1" --benchmark_out="$build/$1.json" --benchmark_out_format=json 2>"$build/$1.log" ||
    { cat "$build/$1.log" >&2; return 1; }
}
measure iteration
measure step_cost
measure interaction
measure log_determinant
say "measuring: the same iterations in PyTorch"
python3 "$root/benchmarks/collect.py" --times "$build/iteration.json" | python3 "$root/benchmarks/peers/compare.py" >"$build/peers.json"
mkdir -p "$(dirname "$file")"
python3 "$root/benchmarks/collect.py" "$build/iteration.json" "$build/step_cost.json" "$build/interaction.json" "$build/log_determinant.json" "$build/peers.json" >"$file.part"
mv "$file.part" "$file"
cat "$file"
say "figures: $file"
