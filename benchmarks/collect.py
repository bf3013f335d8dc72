#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Gathers the benchmarks' own JSON into one flat object: collect.py ITERATION STEP_COST INTERACTION LOG_DETERMINANT PEERS > FILE."""
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
    iteration, cost, pairs, log_det = (counters(path) for path in sys.argv[1:5])
    peers = json.load(open(sys.argv[5]))
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
    for (n, threads), run in pairs["direct"].items():
        if n == 1_000_000:
            flat[f"interaction_1e6_1e4_t{threads}_s"] = round(run["s"], 3)
    for (_, threads, digits), run in pairs["grid"].items():
        flat[f"interaction_grid_1e-{digits}_t{threads}_ms"] = round(1e3 * run["s"], 1)
        flat[f"interaction_grid_1e-{digits}_error"] = float(f"{run['error']:.2g}")
    for (n, threads, symmetric), run in pairs["self"].items():
        flat[f"interaction_self_{n}_{'once' if symmetric else 'twice'}_t{threads}_ms"] = round(1e3 * run["s"], 3)
    for name in ("residual", "residual_affine", "icnn"):
        for (d,), run in log_det[name].items():
            flat[f"log_det_{name}_d{d}_us"] = round(run["us"], 3)
            flat[f"log_det_{name}_d{d}_over_floor"] = round(run["over_floor"], 3)
    for name in ("residual_probe", "icnn_probe"):
        for (d,), run in log_det[name].items():
            flat[f"log_det_{name}_d{d}_us"] = round(run["us"], 3)
    for name, key in (("ou_2", "peer_ou_d2_ratio"), ("ou_8", "peer_ou_d8_ratio"), ("ou_32", "peer_ou_d32_ratio"), ("small_2", "peer_small_ratio")):
        flat[key] = peers["peers"].get(name, {}).get("ratio")
        flat[key.replace("ratio", "ms")] = peers["peers"].get(name, {}).get("pytorch_ms")
    flat["peer"] = f"PyTorch {peers['torch']}" if peers["torch"] else None
    print(json.dumps(flat, indent=2))


if __name__ == "__main__":
    main()
