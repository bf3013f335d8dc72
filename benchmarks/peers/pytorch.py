#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Algorithm 1 of the paper in PyTorch on one CPU thread: the time of one outer iteration, as a peer for wgf's own benchmark.

One JKO step of KL to the Gaussian target N(b, A^-1), P_k = base = N(0, I), dual network u = log h:
  dual step (J2 of them):  min over u   E_base[exp(u)] - E_Pk[u(T)]
  primal step:             min over T   E|x - T|^2 / (2a) + E[u(T)] + E[(T - b)' A (T - b) / 2 - |T|^2 / 2]

Prints one line of JSON: {"config", "dim", "ms_per_iteration" (best of many short blocks), "torch", "blas", "threads"}.

Written for speed: eager mode, fused Adam where there is one, T(x) computed once an iteration and its graph kept for the primal
step, both batches of the dual network in one pass, no gradients that nobody uses, no synchronisation.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

CONFIGURATIONS = {  # width, linear layers of the dual, linear layers of T, does T have activations, M, J2, a
    "ou": dict(width=64, dual_layers=3, map_layers=3, map_activation=False, batch=1000, dual_steps=3, step_size=0.05),
    "small": dict(width=16, dual_layers=4, map_layers=5, map_activation=True, batch=100, dual_steps=3, step_size=0.3),
}


def tell_blas_its_cpu():
    """Before torch is imported: on a CPU with AVX-512 say so to the BLAS, which often does not find out for itself.

    OpenBLAS and BLIS (Debian's torch) read a variable. MKL (the wheels) keeps AMD's CPUs on its AVX2 code and has no variable for it;
    it asks mkl_serv_intel_cpu_true(), which a preloaded library may answer: twice the speed of a product at width 64 on a Zen 5.
    """
    try:
        with open("/proc/cpuinfo") as file:
            cpu = file.read()
    except OSError:
        return
    if " avx512f" not in cpu:
        return
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
    os.environ.setdefault("BLIS_ARCH_TYPE", "skx")
    if "AuthenticAMD" not in cpu or "WGF_MKL_TOLD" in os.environ:
        return
    os.environ["WGF_MKL_TOLD"] = ""  # stays empty where no compiler is found
    with tempfile.TemporaryDirectory() as folder:
        library = os.path.join(folder, "cpu.so")
        command = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-x", "c", "-", "-o", library]
        try:
            subprocess.run(command, input=b"int mkl_serv_intel_cpu_true(void) { return 1; }", check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            return
        preload = " ".join(filter(None, [library, os.environ.get("LD_PRELOAD")]))
        environment = dict(os.environ, WGF_MKL_TOLD="1", LD_PRELOAD=preload)
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)


def network(torch, inputs, width, layers, outputs, activation):
    sizes = [inputs] + [width] * (layers - 1) + [outputs]
    parts = []
    for k in range(layers):
        parts.append(torch.nn.Linear(sizes[k], sizes[k + 1]))
        if activation and k + 1 < layers:
            parts.append(torch.nn.PReLU())  # one learnt slope a layer
    return torch.nn.Sequential(*parts)


def adam(torch, parameters, rate):
    for fast in ({"fused": True}, {"foreach": True}, {}):
        try:
            return torch.optim.Adam(parameters, lr=rate, betas=(0.5, 0.9), **fast)
        except (RuntimeError, TypeError):  # this version has no fused Adam on the CPU
            continue


class Step:
    """One JKO step's networks and optimisers; iterate() is one outer iteration of Algorithm 1."""

    def __init__(self, torch, dim, width, dual_layers, map_layers, map_activation, batch, dual_steps, step_size, rate=2e-3):
        self.torch, self.batch, self.dual_steps, self.step_size = torch, batch, dual_steps, step_size
        self.map = network(torch, dim, width, map_layers, dim, map_activation)
        self.dual = network(torch, dim, width, dual_layers, 1, True)
        self.map_optimiser = adam(torch, list(self.map.parameters()), rate)
        self.dual_optimiser = adam(torch, list(self.dual.parameters()), rate)
        self.dual_parameters = list(self.dual.parameters())
        self.precision = torch.eye(dim) * 0.5
        self.centre = torch.ones(dim)
        self.x = torch.empty(batch, dim)
        self.both = torch.empty(2 * batch, dim)  # T(x), then the base's samples: one pass of the dual network serves both

    def iterate(self):
        m, x = self.batch, self.x.normal_()
        y = x + self.map(x)  # T is fixed while the dual ascends
        self.both[:m] = y.detach()
        self.both[m:].normal_()
        for _ in range(self.dual_steps):
            u = self.dual(self.both)
            loss = (u[m:].exp().sum() - u[:m].sum()) / m
            self.dual_optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.dual_optimiser.step()
        for p in self.dual_parameters:
            p.requires_grad_(False)  # the primal step needs the dual's gradient by its input alone
        offset = y - self.centre
        direct = ((offset @ self.precision) * offset).sum() - y.square().sum()
        loss = ((y - x).square().sum() / self.step_size + direct) / (2 * m) + self.dual(y).mean()
        self.map_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.map_optimiser.step()
        for p in self.dual_parameters:
            p.requires_grad_(True)


def blas_name(torch):
    settings = torch.__config__.show()
    info = settings.split("BLAS_INFO=")[1].split(",")[0] if "BLAS_INFO=" in settings else "unknown"
    return info + (" (told that the CPU has AVX-512)" if info == "mkl" and os.environ.get("WGF_MKL_TOLD") else "")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("config", nargs="?", choices=sorted(CONFIGURATIONS), default="ou")
    options.add_argument("--dim", type=int, default=2)
    options.add_argument("--seconds", type=float, default=5.0, help="how long to measure")
    options = options.parse_args()
    tell_blas_its_cpu()
    try:
        import torch
    except ImportError:
        sys.exit("pytorch.py: this Python has no torch")
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(1)

    step = Step(torch, options.dim, **CONFIGURATIONS[options.config])
    for _ in range(20):
        step.iterate()
    best, block, end = float("inf"), 5, time.perf_counter() + options.seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(block):
            step.iterate()
        best = min(best, (time.perf_counter() - start) / block)
    print(json.dumps({"config": options.config, "dim": options.dim, "ms_per_iteration": round(best * 1e3, 4), "torch": torch.__version__,
                      "blas": blas_name(torch), "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
