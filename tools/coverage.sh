#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
# Runs the tests with line coverage and reports that of the headers (needs gcovr); a page a header in build/coverage/report. Ends with an
# error below 90 %.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v gcovr >/dev/null || { echo "wgf: please run: sudo apt-get install -y --no-install-recommends gcovr" >&2; exit 1; }
cmake --workflow --preset coverage
