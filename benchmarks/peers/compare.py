#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""wgf's time an iteration beside PyTorch's, on one thread.

Reads wgf's times as one JSON object from a file or from standard input, {"ou_2": ms, "ou_8": ms, "ou_32": ms, "small_2": ms} (any of
them; the name is a configuration of pytorch.py and its dimension), and prints
{"torch": version or null, "peers": {"ou_2": {"wgf_ms", "pytorch_ms", "ratio"}, ...}}.
A Python with torch is looked for in $WGF_TORCH_PYTHON, python3 and /usr/bin/python3; where there is none the peer's figures are null.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).with_name("pytorch.py")


def find_python():
    for python in (os.environ.get("WGF_TORCH_PYTHON"), "python3", "/usr/bin/python3"):
        try:
            if python and subprocess.run([python, "-c", "import torch"], capture_output=True).returncode == 0:
                return python
        except OSError:
            continue
    return None


def measure(python, config, dim, seconds):
    command = [python, str(PROGRAM), config, "--dim", str(dim), "--seconds", str(seconds)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode != 0:
        print("compare.py: " + (run.stderr.strip().splitlines() or ["pytorch.py failed"])[-1], file=sys.stderr)
        return None
    return json.loads(run.stdout)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("file", nargs="?", help="wgf's times; standard input when left out")
    options.add_argument("--seconds", type=float, default=5.0, help="how long to measure each configuration")
    options = options.parse_args()
    try:
        ours = json.loads(pathlib.Path(options.file).read_text() if options.file else sys.stdin.read())
        cases = {name: (name.rsplit("_", 1)[0], int(name.rsplit("_", 1)[1]), float(ms)) for name, ms in ours.items()}
    except (OSError, ValueError, AttributeError, TypeError, IndexError) as error:
        sys.exit(f"compare.py: cannot read the times: {error}")

    python = find_python()
    if python is None:
        print("compare.py: no Python with torch (set WGF_TORCH_PYTHON), so no comparison", file=sys.stderr)
    result = {"torch": None, "blas": None, "peers": {}}
    for name, (config, dim, ms) in cases.items():
        peer = measure(python, config, dim, options.seconds) if python else None
        theirs = peer["ms_per_iteration"] if peer else None
        if peer:
            result.update(torch=peer["torch"], blas=peer["blas"])
        result["peers"][name] = {"wgf_ms": ms, "pytorch_ms": theirs, "ratio": round(theirs / ms, 2) if theirs else None}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
