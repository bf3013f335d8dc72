#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Puts on this machine what wgf's programs need (Debian, Ubuntu), and holds what run.sh and test.sh share.
#   tools/setup.sh run    compiler, CMake, Ninja, Eigen, Boost.Hana, CLI11, fmt, nlohmann/json, gnuplot
#   tools/setup.sh test   these and Catch2, pkg-config
#   tools/setup.sh torch  those of test, and LibTorch
#   tools/setup.sh benchmarks   those of run, and Google Benchmark, Python
# It looks for files and commands first: a machine that has them never touches the network. What is missing is installed with apt,
# as root or through `sudo -n`; without either, if the compiler, CMake and Ninja are there, the missing libraries are unpacked into
# build/deps, and if they are not, it prints the one line to run and returns 1.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$root/build/deps/usr

say() { printf 'wgf: %s\n' "$*"; }

use_deps() {  # lets CMake, the compiler and pkg-config find what is unpacked in build/deps
  export CMAKE_PREFIX_PATH=$deps${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
  export CPLUS_INCLUDE_PATH=$deps/include:$deps/include/eigen3${CPLUS_INCLUDE_PATH:+:$CPLUS_INCLUDE_PATH}
  export PKG_CONFIG_PATH=$deps/share/pkgconfig:$deps/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
}

have_command() {  # have_command A B …: is one of them there?
  local name
  for name in "$@"; do command -v "$name" >/dev/null && return; done
  return 1
}

have_header() {  # have_header A B …: is one of them in an include directory?
  local prefix name prefixes
  IFS=': ;' read -ra prefixes <<<"/usr:/usr/local:$deps:${CMAKE_PREFIX_PATH:-}:${CONDA_PREFIX:-}:/opt/homebrew"
  for prefix in "${prefixes[@]}"; do
    for name in "$@"; do [[ -n $prefix && -e $prefix/include/$name ]] && return; done
  done
  return 1
}

have_torch() {  # LibTorch with its headers: a system's, WGF_TORCH_ROOT's or that of python3's torch
  have_header ATen/core/Tensor.h || [[ -n ${WGF_TORCH_ROOT:-} ]] || python3 -c '
import importlib.util, os, sys
s = importlib.util.find_spec("torch")
sys.exit(not (s and os.path.exists(s.submodule_search_locations[0] + "/include/ATen/core/Tensor.h")))' 2>/dev/null
}

missing_packages() {  # missing_packages run|test|torch|benchmarks: tools first, then libraries, one a line
  have_command "${CXX:-c++}" g++ clang++ || echo g++
  have_command cmake || echo cmake
  have_command ninja ninja-build || echo ninja-build
  have_header eigen3/Eigen/Core Eigen/Core || echo libeigen3-dev
  have_header boost/hana.hpp || echo libboost-dev
  have_header CLI/CLI.hpp || echo libcli11-dev
  have_header fmt/core.h || echo libfmt-dev
  have_header nlohmann/json.hpp || echo nlohmann-json3-dev
  have_command gnuplot || echo gnuplot-nox
  if [[ $1 == torch ]] && ! have_torch; then
    echo libtorch-dev
  fi
  if [[ $1 == test || $1 == torch ]]; then
    have_header catch2/catch.hpp catch2/catch_all.hpp || echo catch2
    have_command pkg-config pkgconf || echo pkg-config
  elif [[ $1 == benchmarks ]]; then
    have_header benchmark/benchmark.h || echo libbenchmark-dev
    have_command python3 || echo python3
  fi
}

install_packages() {  # install_packages [sudo -n] -- PACKAGE …
  local as=()
  while [[ $1 != -- ]]; do as+=("$1"); shift; done
  shift
  # A package list that cannot be refreshed may still serve: the installation decides.
  "${as[@]}" apt-get update || true
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
}

unpack_packages() {  # unpack_packages PACKAGE …: with the libraries they stand on (libboost-dev is but a name for libboost1.74-dev)
  local package folder=$root/build/deps
  mkdir -p "$folder"
  for package in "$@"; do
    echo "$package"
    apt-cache depends --important "$package" | awk '$1 == "Depends:" && $2 ~ /^lib/ && $2 !~ /^lib(c6|gcc|stdc)/ {print $2}'
  done | sort -u >"$folder/packages"
  (cd "$folder" && xargs apt-get download <packages && for package in *.deb; do dpkg -x "$package" . && rm "$package"; done)
}

at_least() {  # at_least WANTED HAVE: version numbers
  [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]
}

check_versions() {  # of what apt does not make newer
  local cmake compiler
  cmake=$(cmake --version | awk 'NR == 1 {print $3}')
  at_least 3.25 "$cmake" || { say "CMake 3.25 or newer is needed (Debian 12, Ubuntu 24.04), this is $cmake" >&2; return 1; }
  compiler=$("${CXX:-c++}" -dumpfullversion 2>/dev/null) || return 0  # clang does not tell
  at_least 12 "$compiler" || { say "g++ 12 or newer is needed (Debian 12, Ubuntu 24.04; CXX names another), this is $compiler" >&2; return 1; }
}

setup() {  # setup run|test|torch|benchmarks: what is missing, and whether what is there will do
  install_missing "$1" && check_versions
}

install_missing() {
  [[ -d $deps ]] && use_deps
  local missing tools=() libraries=() package log=$root/build/setup.log
  mapfile -t missing < <(missing_packages "$1")
  [[ ${#missing[@]} -eq 0 ]] && return
  for package in "${missing[@]}"; do
    case $package in
      g++ | cmake | ninja-build | libtorch-dev) tools+=("$package") ;;  # LibTorch stands on a hundred libraries: it is not unpacked
      gnuplot-nox | pkg-config) ;;  # the programs do without them
      *) libraries+=("$package") ;;
    esac
  done
  mkdir -p "$root/build"
  if have_command apt-get; then
    local ways=()
    if [[ $(id -u) -eq 0 ]]; then
      ways=("")
    elif have_command sudo && sudo -n true 2>/dev/null; then
      ways=("sudo -n")
    fi
    if [[ ${#ways[@]} -gt 0 ]]; then
      say "installing ${missing[*]} (log: build/setup.log)"
      # shellcheck disable=SC2086  # two words
      install_packages ${ways[0]} -- "${missing[@]}" >"$log" 2>&1 && return
      tail -n 5 "$log" >&2
    elif [[ ${#tools[@]} -eq 0 ]]; then
      if [[ ${#libraries[@]} -gt 0 ]]; then
        say "not root: unpacking ${libraries[*]} into build/deps (log: build/setup.log)"
        unpack_packages "${libraries[@]}" >"$log" 2>&1 || { tail -n 5 "$log" >&2; libraries+=(failed); }
        use_deps
      fi
      if [[ ${libraries[*]} != *failed ]]; then
        have_command gnuplot || say "gnuplot is not installed: no pictures will be drawn (sudo apt-get install gnuplot-nox)"
        return
      fi
    fi
  fi
  if [[ ${#tools[@]} -eq 0 && ${#libraries[@]} -eq 0 ]]; then
    say "going on without ${missing[*]}, which could not be installed"
    return
  fi
  say "these packages are missing; please run:" >&2
  say "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
  return 1
}

jobs_for_building() {  # as many as there are processors, and 2.5 GB of memory for each
  local jobs memory=0
  jobs=$(nproc 2>/dev/null || echo 2)
  memory=$(awk '$1 == "MemAvailable:" {print int($2 / 2500000)}' /proc/meminfo 2>/dev/null) || memory=$jobs
  ((memory >= 1)) || memory=1
  echo $((jobs < memory ? jobs : memory))
}

configured_here() {  # is build/release configured, and for this folder (not moved or copied with the tree)?
  [[ -f $root/build/release/build.ninja ]] && grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$root/build/release/CMakeCache.txt"
}

logged() {  # logged FILE COMMAND …: quiet; shows the end of the log if the command fails
  local log=$1
  shift
  "$@" >>"$log" 2>&1 && return
  tail -n 40 "$log" >&2
  say "failed; the whole log: $log" >&2
  return 1
}

configure() {  # configure LOG CMAKE_OPTION …: build/release
  configured_here || rm -rf "$root/build/release"
  (cd "$root" && logged "$1" cmake --preset release "${@:2}")
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  set -euo pipefail
  setup "${1:-test}"
fi
