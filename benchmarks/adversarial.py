"""How fast is the search for adversarial backgrounds, against going foreground by foreground?

    python benchmarks/adversarial.py
    python benchmarks/adversarial.py --foregrounds 400 --images 1000 --batch 2000 --device cuda

Both find the same answers, in turns in one process, with the same small net and the same early stop. The usual way
takes one foreground at a time and tries backgrounds in batches until one fools the model; ours fills each batch with all
foregrounds that are left. What differs is how many composites are made in vain, and how full the batches are.
"""

from __future__ import annotations

import statistics
import time
from typing import Annotated

import torch
import typer

from gazebook import data, models
from gazebook.images.composite import compose, tiled
from gazebook.measure.adversarial_backgrounds import search
from gazebook.train import Recipe, fit, to_float


def one_by_one(predict, foregrounds, backgrounds, batch: int) -> tuple[torch.Tensor, int]:
    """(fooled bool [N], composites) of going through the backgrounds in order, batch by batch, for each foreground."""
    fooled, looked = torch.zeros(len(foregrounds), dtype=torch.bool), 0
    for i in range(len(foregrounds)):
        for part in backgrounds.split(batch):
            made = compose(foregrounds.images[i], foregrounds.masks[i], part)
            looked += len(made)
            if (predict(made) != foregrounds.labels[i]).any():
                fooled[i] = True
                break
    return fooled, looked


def main(
    foregrounds: Annotated[int, typer.Option(help="Foregrounds to attack.")] = 200,
    images: Annotated[int, typer.Option(help="Test scenes, whose backgrounds are tried.")] = 400,
    batch: int = 250,
    repeats: int = 5,
    device: str = "cpu",
) -> None:
    """Compare both ways on a net that has been trained for a few epochs."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    test = data.load("scenes", "test", images=images)
    chosen = test.select(torch.arange(foregrounds))
    backgrounds = tiled(test.images, test.boxes)
    model = models.build("resnet8", test.num_classes, "softmax")
    train = data.load("scenes", "train", images=1500, background_correlation=0.0)
    fit(model, train, Recipe(epochs=8, batch_size=32, seed=0), device=device, progress=False)
    model.eval()

    @torch.no_grad()
    def predict(pictures: torch.Tensor) -> torch.Tensor:
        return model(to_float(pictures.to(device))).argmax(dim=1).cpu()

    seconds: dict[str, list[float]] = {"foreground by foreground": [], "all that are left": []}
    for _ in range(repeats):
        started = time.perf_counter()
        fooled, looked = one_by_one(predict, chosen, backgrounds, batch)
        seconds["foreground by foreground"].append(time.perf_counter() - started)
        started = time.perf_counter()
        found = search(predict, chosen, backgrounds, batch=batch)
        seconds["all that are left"].append(time.perf_counter() - started)
        assert torch.equal(found.tries > 0, fooled)
    for (name, times), count in zip(seconds.items(), (looked, found.composites), strict=True):
        middle = statistics.median(times)
        print(f"{name:25} {middle:7.2f} s  {count:8,} composites  {count / middle:8,.0f} a second")
    one, all_ = (statistics.median(times) for times in seconds.values())
    print(f"{float(fooled.float().mean()):.0%} are vulnerable; ratio of times {one / all_:.1f}")


if __name__ == "__main__":
    typer.run(main)
