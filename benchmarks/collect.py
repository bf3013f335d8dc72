#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Gathers the benchmarks' own JSON into one flat object: collect.py ITERATION STEP_COST PEERS > FILE."""
import json
import sys


def counters(path):
    """{"ou": {(2, 1): {"us": …}}}: by benchmark and by its arguments."""
    found = {}
    for run in json.load(open(path))["benchmarks"]:
        name, *rest = run["name"].split("/")
        arguments = tuple(int(part.split(":")[1]) for part in rest if ":" in part and not part.startswith("iterations"))
        found.setdefault(name, {})[arguments] = run
    return found


def iteration_times(path):
    """Milliseconds an iteration on one thread, for compare.py."""
    runs = counters(path)
    return {f"{name}_{d}": round(run["us"] / 1e3, 6) for name in ("ou", "small") for (d, threads), run in runs[name].items() if threads == 1}


def main():
    if sys.argv[1:2] == ["--times"]:
        print(json.dumps(iteration_times(sys.argv[2])))
        return
    iteration, cost, peers = counters(sys.argv[1]), counters(sys.argv[2]), json.load(open(sys.argv[3]))
    flat = {}
    for (d, threads), run in iteration["ou"].items():
        flat[f"ou_d{d}_t{threads}_over_floor"] = round(run["over_floor"], 3)
        flat[f"ou_d{d}_t{threads}_ms"] = round(run["us"] / 1e3, 4)
        flat[f"fma_gflops_t{threads}"] = round(max(run["fma_gflops"], flat.get(f"fma_gflops_t{threads}", 0)), 1)
    for (_, threads), run in iteration["small"].items():
        flat[f"small_t{threads}_us"] = round(run["us"], 2)
    for name, label in (("against_k", "step_ms_k"), ("against_batch", "step_ms_m"), ("against_dimension", "step_ms_d")):
        for (value,), run in cost[name].items():
            flat[f"{label}{value}"] = round(run["ms"], 3)
    for name, key in (("ou_2", "peer_ou_d2_ratio"), ("ou_8", "peer_ou_d8_ratio"), ("ou_32", "peer_ou_d32_ratio"), ("small_2", "peer_small_ratio")):
        flat[key] = peers["peers"].get(name, {}).get("ratio")
        flat[key.replace("ratio", "ms")] = peers["peers"].get(name, {}).get("pytorch_ms")
    flat["peer"] = f"PyTorch {peers['torch']}" if peers["torch"] else None
    print(json.dumps(flat, indent=2))


if __name__ == "__main__":
    main()
