"""Grad-CAM of a batch: here, with and without the gradient, against pytorch-grad-cam, by turns in one process.

    python benchmarks/grad_cam.py --batch 32 --threads 1

Also what an explanation costs beside a training step, which bounds what distraction can cost.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from gazebook import models
from gazebook.explain import grad_cam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--trunk", default="resnet8", choices=("resnet8", "resnet18"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = models.build(args.trunk, 10, "softmax")
    x, y = torch.rand(args.batch, 3, 32, 32), torch.randint(10, (args.batch,))
    inner = model.trunk.blocks if args.trunk == "resnet8" else model.trunk.layers
    targets = [ClassifierOutputTarget(int(c)) for c in y]
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    cam = GradCAM(model=model, target_layers=[inner])

    def theirs():
        model.eval()
        cam(input_tensor=x, targets=targets)

    def step():
        model.train()
        optimizer.zero_grad(set_to_none=True)
        model.loss(model(x), y).backward()
        optimizer.step()

    ways = {
        "training step, float32": step,
        "Grad-CAM here, closed form": lambda: grad_cam(model, x, y),
        "Grad-CAM here, by the gradient": lambda: grad_cam(model, x, y, inner),
        "pytorch-grad-cam": theirs,
    }
    seconds = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: median(values[2:]) for name, values in seconds.items()}
    print(f"{args.trunk}, batch {args.batch}, {args.threads} thread(s), medians of {args.rounds - 2} rounds")
    for name, value in medians.items():
        print(f"  {name:32} {1000 * value:8.1f} ms   {medians['pytorch-grad-cam'] / value:5.1f} x as fast as pytorch-grad-cam")
    share = medians["Grad-CAM here, closed form"] / medians["training step, float32"]
    print(
        f"an explanation takes {share:.2f} of a training step: distraction with p = .25 takes {1 + share / 4:.2f} of the time"
    )


if __name__ == "__main__":
    main()
