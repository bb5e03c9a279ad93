"""How fast is `fit` against the usual loop? Both train the same net on the same images, by turns, in one process.

The usual loop: a DataLoader that augments each image through Pillow and torchvision, float32, SGD. Prints images a
second of both as medians over the rounds, their ratio, and the share of the device's bf16 matrix peak, which is
measured here too. Evaluation is compared in the same way, and augmentation alone: ours, kornia's (both draw for each
image), and torchvision's v2 on the batched tensor, which draws once for the whole batch and so is only a lower bound.

    python benchmarks/train.py --augmentation combined
    python benchmarks/train.py --trunk resnet18 --batch-size 128 --images 20000 --device cuda
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Annotated

import kornia.augmentation as K
import torch
import typer
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import v2

from gazebook import data, models
from gazebook.data.image_set import ImageSet
from gazebook.images import augment
from gazebook.provenance import device_name
from gazebook.train import Recipe, fit, to_float

TRANSFORMS = {
    "none": [],
    "crop": [v2.RandomCrop(32, padding=8)],
    "flip": [v2.RandomHorizontalFlip()],
    "rotate": [v2.RandomRotation(15)],
    "perspective": [v2.RandomPerspective()],
    "color": [v2.ColorJitter(0.3, 0.3, 0.3, 0.1)],
}
KORNIA = {
    "none": [],
    "crop": [K.RandomCrop((32, 32), padding=8)],
    "flip": [K.RandomHorizontalFlip()],
    "rotate": [K.RandomRotation(15.0, resample="nearest")],
    "perspective": [K.RandomPerspective(0.5, p=0.5)],
    "color": [K.ColorJitter(0.3, 0.3, 0.3, 0.1, p=1.0)],
}
TRANSFORMS["combined"] = [t for name in ("crop", "flip", "rotate", "perspective", "color") for t in TRANSFORMS[name]]

KORNIA["combined"] = [t for name in ("crop", "flip", "rotate", "perspective", "color") for t in KORNIA[name]]


class PillowImages(Dataset):
    """One image at a time: Pillow, torchvision's transforms, float32 in [0, 1]."""

    def __init__(self, images: ImageSet, augmentation: str):
        self.pictures = [Image.fromarray(i.permute(1, 2, 0).numpy()) for i in images.images]
        self.labels = images.labels.tolist()
        self.transform = v2.Compose([*TRANSFORMS[augmentation], v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int):
        return self.transform(self.pictures[i]), self.labels[i]


def usual_epoch(model, optimizer, loader, device) -> None:
    """One epoch of the loop that most papers use."""
    model.train()
    for x, y in loader:
        x, y = x.to(device, non_blocking=True), y.to(device, non_blocking=True)
        loss = model.loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def usual_evaluation(model, loader, device) -> None:
    """Class predictions, one batch of the loader after another."""
    model.eval()
    for x, _ in loader:
        model(x.to(device)).argmax(dim=1).cpu()


@torch.no_grad()
def our_evaluation(model, images: ImageSet, device) -> None:
    """Class predictions from a tensor on the device in large batches, in float32 as the studies measure."""
    model.eval()
    parts = [model(to_float(batch)).argmax(dim=1) for batch in images.images.to(device).split(500)]
    torch.cat(parts).cpu()


def augmentations(images: ImageSet, name: str, batch_size: int, device) -> dict[str, Callable[[], None]]:
    """One epoch of each way to augment uint8 batches into floats in [0, 1]."""
    batches = images.images.to(device).split(batch_size)
    own, generator = augment.named(name), torch.Generator().manual_seed(0)
    kornia, batched = torch.nn.Sequential(*KORNIA[name]), v2.Compose(TRANSFORMS[name])

    def run(function) -> Callable[[], None]:
        return lambda: [function(batch) for batch in batches] and None

    return {
        "augmentation, ours": run(lambda batch: to_float(own(batch, generator))),
        "augmentation, kornia": run(lambda batch: kornia(to_float(batch))),
        "augmentation, v2, one draw a batch": run(lambda batch: to_float(batched(batch))),
    }


def timed(function, device) -> float:
    """Seconds of a call, with the device's queue empty before and after."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - started


def matrix_peak(device) -> float:
    """bf16 multiply-adds of a large matrix product, in FLOP/s: the best of ten."""
    n = 8192 if torch.device(device).type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    a @ a
    return 2 * n**3 / min(timed(lambda: a @ a, device) for _ in range(10))


def flops_per_training_image(model, device) -> float:
    """Forward FLOPs of one 32 px image, times three for the backward pass."""
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.rand(1, 3, 32, 32, device=device))
    return 3 * counter.get_total_flops()


def main(
    trunk: str = "resnet8",
    head: str = "scribe",
    augmentation: str = "combined",
    images: Annotated[int, typer.Option(help="Training images an epoch.")] = 2000,
    batch_size: int = 64,
    rounds: Annotated[int, typer.Option(help="Epochs of each loop, by turns.")] = 5,
    threads: Annotated[int, typer.Option(help="Threads of torch, and workers of the usual loop's loader.")] = 1,
    device: str = "cpu",
    compile: Annotated[bool, typer.Option(help="torch.compile in fit.")] = False,
) -> None:
    """Print both speeds and their ratio."""
    torch.set_num_threads(threads)
    train = data.load("scenes", "train", images=images)
    workers = 0 if threads == 1 else threads  # one core: loading and training take turns
    pictures = PillowImages(train, augmentation)
    loader = DataLoader(pictures, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    plain = DataLoader(PillowImages(train, "none"), batch_size, num_workers=workers, persistent_workers=workers > 0)
    usual, ours = (models.build(trunk, 10, head).to(device) for _ in range(2))
    optimizer = torch.optim.SGD(usual.parameters(), 0.05, momentum=0.9, weight_decay=5e-4)
    recipe = Recipe(epochs=1, batch_size=batch_size, augmentation=augmentation)

    contenders = {
        "training, usual loop": lambda: usual_epoch(usual, optimizer, loader, device),
        "training, fit": lambda: fit(ours, train, recipe, device=device, compile=compile, progress=False),
        "evaluation, usual loop": lambda: usual_evaluation(usual, plain, device),
        "evaluation, ours": lambda: our_evaluation(ours, train, device),
        **augmentations(train, augmentation, batch_size, device),
    }
    seconds = {name: [] for name in contenders}
    for turn in range(rounds + 1):  # the first turn warms up and is not counted
        for name, contender in contenders.items():
            elapsed = timed(contender, device)
            if turn:
                seconds[name].append(elapsed)
    speed = {name: images / statistics.median(s) for name, s in seconds.items()}
    print(f"{trunk}, {head} head, {augmentation}, batch {batch_size}; {device_name(device)}; {os.cpu_count()} cores in all")
    for name, value in speed.items():
        print(f"{name:34} {value:10,.0f} images/s")
    print(f"training ratio   {speed['training, fit'] / speed['training, usual loop']:.1f}")
    print(f"evaluation ratio {speed['evaluation, ours'] / speed['evaluation, usual loop']:.1f}")
    print(f"augmentation ratio to kornia {speed['augmentation, ours'] / speed['augmentation, kornia']:.1f}")
    share = speed["training, fit"] * flops_per_training_image(ours, device) / matrix_peak(device)
    print(f"fit uses {share:.0%} of the bf16 matrix peak measured here")


if __name__ == "__main__":
    typer.run(main)
