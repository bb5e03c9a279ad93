"""One training loop for every study: data on the device, batched augmentation, bf16 autocast, resumable."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from math import ceil, cos, pi
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from gazebook.data.image_set import ImageSet
from gazebook.errors import BudgetSpentError, DivergedError, check_known
from gazebook.images import augment
from gazebook.runs import NAMES
from gazebook.train import checkpoint

SPENT = "the time budget ended; the same call goes on from the last checkpoint"
# called with model, images float [N, 3, H, W] in [0, 1], labels int64 [N], a generator of its own; gives images and targets,
# labels int64 or shares of each class float [N, C]. With an attribute `views` of V, images are V augmentations of the batch,
# one after the other, [V N, 3, H, W].
Intervention = Callable[[nn.Module, torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
WARM_UP = 0.1  # share of the training in which the learning rate of schedule "cosine" rises


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. The defaults are the study's (paper 1, section 3.1 and released notebooks).

    Give `epochs` or `updates`. `schedule` "steps" multiplies the learning rate by `gamma` at `milestones`, shares of the
    training; "cosine" lets it rise linearly for a tenth of the training, then fall to 0. `optimizer` is sgd (with `momentum`)
    or adamw (with `epsilon`); `precision` bf16 (autocast; weights, BatchNorm and pooling stay float32) or fp32.
    """

    epochs: int | None = 30
    updates: int | None = None
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    epsilon: float = 1e-8
    milestones: tuple[float, ...] = (2 / 3, 5 / 6)
    gamma: float = 0.1
    schedule: str = "steps"
    precision: str = "bf16"
    augmentation: str = "none"
    seed: int = 0

    def __post_init__(self):
        for name in ("optimizer", "schedule", "precision"):
            check_known(name, getattr(self, name), NAMES[name])

    def length(self, num_images: int) -> tuple[int, int]:
        """(updates in all, updates an epoch) for a training set of that many images."""
        each = ceil(num_images / self.batch_size)
        return (self.epochs * each if self.updates is None else self.updates), each

    def lr_at(self, update: int, total: int) -> float:
        """The learning rate of an update, counted from 0."""
        if self.schedule == "cosine":
            warm = max(1, round(WARM_UP * total))
            rest = (update - warm) / max(1, total - warm)
            return self.lr * ((update + 1) / warm if update < warm else (1 + cos(pi * rest)) / 2)
        return self.lr * self.gamma ** sum(update >= round(m * total) for m in self.milestones)


def fit(
    model: nn.Module,
    images: ImageSet,
    recipe: Recipe,
    *,
    device: torch.device | str = "cpu",
    checkpoint_file: Path | None = None,
    deadline: float | None = None,
    intervene: Intervention | None = None,
    compile: bool = False,
    report: Callable[[dict], None] | None = None,
    progress: bool = True,
) -> list[dict]:
    """Train `model` in place; returns one dict an epoch: epoch, updates, loss, accuracy, images_per_second.

    With `checkpoint_file` the state is saved after each epoch, and a second call goes on from there to the same
    weights as an unbroken one. `deadline` (time.monotonic) stops with BudgetSpentError; the epoch in flight is lost.
    `intervene` may change each batch, images and targets, after augmentation. `report` is called with each epoch's dict.
    Raises DivergedError.
    """
    augment.named(recipe.augmentation)  # an unknown name is told before anything is moved or built
    device = torch.device(device)
    model.to(device=device, memory_format=torch.channels_last).train()
    optimizer = _optimizer(model, recipe)
    total, each = recipe.length(len(images))
    history = checkpoint.restore(checkpoint_file, model, optimizer) if checkpoint_file else []
    epochs = ceil(total / each)
    step = _step_function(model, optimizer, recipe, device, intervene, compile)
    data = images.images.to(device), images.labels.to(device)
    bar = tqdm(
        total=total, initial=min(total, len(history) * each), unit=" updates", disable=not progress, delay=2, leave=False
    )
    with bar:
        for epoch in range(len(history), epochs):
            if deadline is not None and time.monotonic() + (history[-1]["seconds"] if history else 0) > deadline:
                raise BudgetSpentError(SPENT)
            history.append(_epoch(step, data, recipe, epoch, (total, each), bar, deadline))
            if checkpoint_file:
                checkpoint.save(checkpoint_file, model, optimizer, history)
            if report:
                report({**history[-1], "epochs": epochs})
    return history


def autocast(device: torch.device, precision: str):
    """The autocast context of a precision on a device."""
    return torch.autocast(device.type, torch.bfloat16) if precision_on(device, precision) == "bf16" else nullcontext()


def precision_on(device: torch.device | str, precision: str) -> str:
    """The precision in force: bf16 becomes fp32 on a CPU without instructions for it, where it would be slower."""
    if torch.device(device).type == "cpu" and not (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()):
        return "fp32"
    return precision


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, H, W] -> float32 in [0, 1], channels last."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    options = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "foreach": True}
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), momentum=recipe.momentum, **options)
    return torch.optim.AdamW(model.parameters(), eps=recipe.epsilon, **options)


def _step_function(model, optimizer, recipe, device, intervene, compile):
    augmentation = augment.named(recipe.augmentation)
    network = torch.compile(model) if compile else model
    views = getattr(intervene, "views", 1)

    def step(images, labels, lr, generator, own):
        """One update; returns loss and number of correct predictions, both on the device."""
        for group in optimizer.param_groups:
            group["lr"] = lr
        seen = [to_float(augmentation(images, generator)) for _ in range(views)]
        x, targets = seen[0] if views == 1 else torch.cat(seen), labels
        if intervene is not None:
            x, targets = intervene(model, x, labels, own)
        with autocast(device, recipe.precision):
            logits = network(x)
        loss = model.loss(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        wanted = targets.argmax(dim=1) if targets.is_floating_point() else targets
        return loss.detach(), (logits.argmax(dim=1) == wanted).sum() / views

    return step


def _epoch(step, data, recipe: Recipe, epoch: int, length: tuple[int, int], bar: tqdm, deadline: float | None) -> dict:
    """One pass over the data (the last may be shorter). All randomness comes from (seed, epoch), so it can be resumed."""
    (images, labels), (total, each) = data, length
    seed = (recipe.seed * 1_000_003 + epoch) % 2**62
    generator = torch.Generator().manual_seed(seed)  # on the CPU: the same order and augmentation for every device
    own = torch.Generator().manual_seed(seed + 2**62)  # an intervention's draws leave the others as they are
    order = torch.randperm(len(labels), generator=generator).to(images.device)
    started, seen, losses, correct = time.monotonic(), 0, [], []
    for i, index in enumerate(order.split(recipe.batch_size)[: total - epoch * each]):
        loss, hits = step(images[index], labels[index], recipe.lr_at(epoch * each + i, total), generator, own)
        losses.append(loss * len(index))
        correct.append(hits)
        seen += len(index)
        if i % 50 == 49 or seen == len(labels):  # reading a number back waits for the device: not at every step
            _stop_if_diverged(loss, epoch, i, recipe)
            if deadline is not None and time.monotonic() > deadline:
                raise BudgetSpentError(SPENT)
            speed, right = seen / (time.monotonic() - started), float(torch.stack(correct).sum()) / seen
            bar.set_postfix_str(f"loss {loss:.3f}, accuracy {right:.1%}, {speed:,.0f} images/s", refresh=False)
        bar.update()
    _stop_if_diverged(torch.stack(losses).sum(), epoch, len(losses) - 1, recipe)
    seconds = time.monotonic() - started
    return {
        "epoch": epoch + 1,
        "updates": epoch * each + len(losses),
        "loss": float(torch.stack(losses).sum()) / seen,
        "accuracy": float(torch.stack(correct).sum()) / seen,
        "seconds": seconds,
        "images_per_second": seen / seconds,
    }


def _stop_if_diverged(loss: torch.Tensor, epoch: int, step: int, recipe: Recipe) -> None:
    if not torch.isfinite(loss):
        raise DivergedError(
            f"the loss is {float(loss)} in epoch {epoch + 1}, update {step + 1} (lr {recipe.lr}); no record was written: "
            "lower lr, or use precision fp32"
        )
