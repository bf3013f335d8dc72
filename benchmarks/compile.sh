#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# What compiling costs: CPU seconds and peak memory of one translation unit each that holds
# <Eigen/Dense> alone (to compare machines by), the header <wgf/wgf.hpp> alone,
# examples/…/custom_target.cpp and examples/…/two_moons.cpp.
#   benchmarks/compile.sh [--json FILE]   FILE (build/compile.json when left out): one flat object
# $CXX names the compiler, $CXXFLAGS further flags. Each is compiled as often as $WGF_REPEATS says
# (3); the least seconds count.
set -euo pipefail
# shellcheck source=tools/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/../tools/setup.sh"

file=$root/build/compile.json
case ${1:-} in
  --json) file=$(realpath -m "${2:?benchmarks/compile.sh: --json needs a file}") ;;
  '') ;;
  *) sed -n '3,8s/^# //p' "${BASH_SOURCE[0]}"; [[ $1 == --help || $1 == -h ]] && exit 0 || exit 2 ;;
esac

setup benchmarks
mkdir -p "$(dirname "$file")"
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
echo '#include <Eigen/Dense>' >"$folder/eigen.cpp"
echo '#include <wgf/wgf.hpp>' >"$folder/umbrella.cpp"
sources=("$folder/eigen.cpp" "$folder/umbrella.cpp")
for name in custom_target two_moons; do
  sources+=("$(find "$root/examples" -name "$name.cpp")")
done
read -ra flags <<<"${CXXFLAGS:-}"
compile=("${CXX:-g++}" -std=c++20 -O3 -march=native -DNDEBUG "-I$root/include" "-I$root/examples"
         -isystem "$(dirname "$(find -L /usr/include /usr/local/include "$deps/include" -maxdepth 2 \
           -path '*eigen3/Eigen' 2>/dev/null | head -n 1)")"
         "${flags[@]}" -c -o "$folder/object.o")

python3 - "${WGF_REPEATS:-3}" "${#sources[@]}" "${sources[@]}" "${compile[@]}" >"$file.part" <<'PYTHON'
import json, os, pathlib, sys
repeats, count = int(sys.argv[1]), int(sys.argv[2])
sources, command = sys.argv[3 : 3 + count], sys.argv[3 + count :]
figures = {}
for source in sources:
    usages = []
    for _ in range(repeats):
        child = os.posix_spawnp(command[0], command + [source], os.environ)
        _, status, usage = os.wait4(child, 0)  # with what it waited for itself: the compiler proper
        if status != 0:
            sys.exit(f"{source} does not compile")
        usages.append(usage)
    name = "compile_" + pathlib.Path(source).stem
    figures[name + "_cpu_seconds"] = round(min(u.ru_utime + u.ru_stime for u in usages), 2)
    figures[name + "_peak_gb"] = round(max(u.ru_maxrss for u in usages) * 1024 / 1e9, 3)
print(json.dumps(figures, indent=2))
PYTHON
mv "$file.part" "$file"
cat "$file"
say "figures: $file"
