"""timm's networks for ``python -m benchmarks engine``, in the Python that has torch and timm.

Answers each line ``NAME PRECISION SECONDS`` on stdin with images a second on stdout.
"""

import sys
import time

import timm
import torch

BATCH, SIZE = 32, 224


def prepared(name):
    """A network with random weights and a batch for it, both with channels last."""
    model = timm.create_model(name, pretrained=False).eval().to(memory_format=torch.channels_last)
    pixels = torch.rand(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    return model.forward_features, pixels


def rate(forward, pixels, precision, seconds):
    """Images a second over at least one batch, after one that is not counted."""
    halved = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    with torch.inference_mode(), halved:
        forward(pixels)
        began, batches = time.perf_counter(), 0
        while not batches or time.perf_counter() - began < seconds:
            forward(pixels)
            batches += 1
        return BATCH * batches / (time.perf_counter() - began)


def main():
    print(f"timm {timm.__version__}, torch {torch.__version__}", flush=True)
    current = None
    for line in sys.stdin:
        name, precision, seconds = line.split()
        if name != current:
            current, network = name, prepared(name)
        print(rate(*network, precision, float(seconds)), flush=True)


if __name__ == "__main__":
    main()
