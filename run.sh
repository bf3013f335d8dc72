#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Sets up what is missing, builds one example and runs it; what it writes goes to out/NAME.
#   ./run.sh                   the two moons
#   ./run.sh NAME [OPTION …]   any example (./run.sh NAME --help lists its options)
#   ./run.sh --list            their names
set -euo pipefail
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools/setup.sh"

list() {  # name and first comment line of every example
  local file
  for file in "$root"/examples/{,basics/,experiments/}*.cpp; do
    [[ -f $file ]] || continue
    awk -v name="$(basename "$file" .cpp)" '
      /SPDX/ {next}
      /^\/\/ / {sub(/^\/\/ */, ""); text = $0; exit}
      END {printf "%-24s %s\n", name, text}' "$file"
  done
}

case ${1:-} in
  --list | -l) list; exit ;;
  --help | -h) sed -n '3,6s/^# //p' "${BASH_SOURCE[0]}"; exit ;;
esac
name=${1:-two_moons}
shift $(($# > 0))
if ! list | awk -v name="$name" '$1 == name {found = 1} END {exit !found}'; then
  say "there is no example '$name'; ./run.sh --list names them" >&2
  exit 2
fi

setup run
mkdir -p "$root/build"
log=$root/build/run.log
: >"$log"
program=$root/build/release/examples/$name
if ! configured_here || [[ ! -x $program ]]; then say "building $name, a minute or so the first time (log: build/run.log)"; fi
configured_here || configure "$log" -DWGF_TESTS=OFF -DWGF_BENCHMARKS=OFF
logged "$log" cmake --build "$root/build/release" --target "example_$name"

out=$root/out/$name
given=no
for argument in "$@"; do
  case $argument in --out | --out=* | --help | -h) given=yes ;; esac
done
[[ $given == yes ]] && exec "$program" "$@"
say "running $name"
status=0
"$program" --out "$out" "$@" || status=$?
[[ $status -eq 0 && -n $(ls -A "$out" 2>/dev/null) ]] && say "results: $out"
exit "$status"
