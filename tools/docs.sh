#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Builds the reference with Doxygen into build/docs/html; a warning is an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build/docs
doxygen docs/Doxyfile
echo "wgf: the reference is in build/docs/html/index.html"
