#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# On a machine with an NVIDIA GPU, the CUDA toolkit and a PyTorch wheel, and no need of a network: builds the GPU tests and benchmarks, runs
# them, and writes every figure as one JSON object.
#   tools/gpu_check.sh [--headers DIR] [--json FILE] [--arch sm_90] [--build-only]
#     --headers DIR   where the headers of Eigen, Boost.Hana and Catch2 (2.x) are, if the compiler does not find them: DIR/eigen3,
#                     DIR/boost, DIR/catch2
#     --json FILE     build/gpu.json when left out
#     --build-only    compile and link, and run nothing: for a machine without a GPU
# WGF_TORCH_PYTHON names the Python whose torch is meant (python3); WGF_CUDA_ROOT the toolkit (the one of nvcc on the PATH, /usr/local/cuda).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
say() { printf 'gpu_check: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

headers='' json=$root/build/gpu.json arch=sm_90 run=1
while [[ $# -gt 0 ]]; do
  case $1 in
    --headers) headers=$(realpath "${2:?--headers needs a folder}"); shift 2 ;;
    --json) json=$(realpath -m "${2:?--json needs a file}"); shift 2 ;;
    --arch) arch=${2:?--arch needs a name such as sm_90}; shift 2 ;;
    --build-only) run=''; shift ;;
    *) sed -n '3,11s/^# //p' "${BASH_SOURCE[0]}"; [[ $1 == --help || $1 == -h ]] && exit 0 || exit 2 ;;
  esac
done

if [[ -n $run ]] && ! nvidia-smi -L >/dev/null 2>&1; then
  fail "there is no GPU here (nvidia-smi finds none); --build-only compiles without one"
fi
if [[ -n ${WGF_CUDA_ROOT:-} ]]; then cuda=$WGF_CUDA_ROOT
elif command -v nvcc >/dev/null; then cuda=$(dirname "$(dirname "$(realpath "$(command -v nvcc)")")")
else cuda=/usr/local/cuda; fi
[[ -x $cuda/bin/nvcc ]] || fail "nvcc was not found (WGF_CUDA_ROOT names the toolkit)"
python=${WGF_TORCH_PYTHON:-python3}
torch=$("$python" -c 'import importlib.util; print(importlib.util.find_spec("torch").submodule_search_locations[0])' 2>/dev/null) ||
  fail "$python has no torch (WGF_TORCH_PYTHON names another Python)"
[[ -e $torch/lib/libtorch_cuda.so ]] || fail "the torch of $python has no CUDA"

build=$root/build/gpu
mkdir -p "$build" "$(dirname "$json")"
includes=(-I"$root/include" -I"$root/tests" -I"$root/examples")
if [[ -n $headers ]]; then includes+=(-isystem "$headers" -isystem "$headers/eigen3"); else includes+=(-isystem /usr/include/eigen3); fi
cxx=("${CXX:-g++}" -std=c++20 -O2 -march=native -DNDEBUG -w -DWGF_TORCH_HAS_CUDA -DWGF_HAS_CUDA "${includes[@]}"
     -isystem "$torch/include" -isystem "$cuda/include")
nvcc=("$cuda/bin/nvcc" -std=c++20 -O3 -arch="$arch" "${includes[@]}")
# The wheel's libraries find theirs by themselves: neither the linker nor our own search path is to offer them the toolkit's.
link=(-pthread -Wl,--enable-new-dtags -Wl,--allow-shlib-undefined -L"$torch/lib" -Wl,-rpath,"$torch/lib" -ltorch_cpu -ltorch -lc10
      -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed -L"$cuda/lib64" -Wl,-rpath,"$cuda/lib64" -lcudart)

say "building in build/gpu"
jobs=()
start() { "$@" & jobs+=($!); }
"${nvcc[@]}" -c "$root/include/wgf/backend/cuda/pair_sum.cu" -o "$build/pair_sum.o"
start "${nvcc[@]}" "$root/tests/gpu/pair_sum_gpu.cu" "$build/pair_sum.o" -o "$build/pair_sum_gpu"
start "${nvcc[@]}" "$root/benchmarks/gpu/interaction.cu" -o "$build/interaction"
start "${cxx[@]}" -DCATCH_CONFIG_MAIN "$root/tests/gpu/libtorch_gpu.cpp" "$build/pair_sum.o" -o "$build/libtorch_gpu" "${link[@]}"
start "${cxx[@]}" "$root/benchmarks/gpu/flows.cpp" "$build/pair_sum.o" -o "$build/flows" "${link[@]}"
for job in "${jobs[@]}"; do wait "$job" || fail "it does not build"; done
[[ -n $run ]] || { say "built; nothing was run"; exit 0; }

passed=1 measured=1
say "testing: sums over pairs"
"$build/pair_sum_gpu" >&2 || passed=''
say "testing: the LibTorch backend"
"$build/libtorch_gpu" >&2 || passed=''
say "measuring"
"$build/interaction" >"$build/interaction.json" || measured=''
"$build/flows" >"$build/flows.json" || measured=''
"$python" - "$build" "$passed" >"$json" <<'PY'
import json, sys
build, passed = sys.argv[1:]
figures = {"tests_passed": passed == "1"}
for part in ("flows", "interaction"):
    with open(f"{build}/{part}.json") as file:
        text = file.read().strip()
    if text:  # of a program that broke off, the figures so far
        figures.update(json.loads(text if text.endswith("}") else text + "}"))
print(json.dumps(figures, indent=2))
PY
cat "$json"
say "figures: $json"
[[ -n $measured ]] || say "some measurements have failed"
[[ -n $passed ]] || say "some tests have failed"
[[ -n $passed && -n $measured ]]
