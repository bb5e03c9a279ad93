"""One run from nothing to its record."""

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from gazebook import data, models
from gazebook.data.image_set import ImageSet
from gazebook.errors import BudgetSpentError, GazebookError
from gazebook.images import composite
from gazebook.ledger import Record
from gazebook.measure import Ruler, Trained, checked, measure
from gazebook.provenance import provenance
from gazebook.runs import Run
from gazebook.train import Recipe, checkpoint, fit, linear_probe, methods, precision_on


def execute(
    run: Run,
    rulers: Sequence[Ruler],
    *,
    device: torch.device | str = "cpu",
    checkpoint_file: Path | None = None,
    weights_file: Path | None = None,
    deadline: float | None = None,
    report: Callable[[dict], None] | None = None,
    progress: bool = False,
) -> Record:
    """Load the data, build, train, measure with those of `rulers` that the run asks for; writes no record itself.

    The final weights are kept in `weights_file`. Where it exists already, from a run that differs in its evaluation
    alone, nothing is trained.
    """
    started = time.monotonic()
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32 when models are measured
    train, test = training_set(run), evaluation_set(run)
    checked(run, test, rulers)  # before the training
    model = models.initial_model(run, test.num_classes)
    fitting = time.monotonic()
    model.to(device=device, memory_format=torch.channels_last)
    trains = run.updates != 0
    history = []
    if weights_file and trains:
        with suppress(GazebookError):  # damaged: it is trained again
            history = checkpoint.restore(weights_file, model)
    if trains and not history:
        method = methods.named(run.method, run.method_options)
        history = fit(
            _wrapped(model, method, run.seed),
            train,
            recipe(run),
            intervene=method,
            device=device,
            checkpoint_file=checkpoint_file,
            deadline=deadline,
            report=report,
            progress=progress,
        )
        if weights_file:
            checkpoint.save(weights_file, model, None, history, run=json.dumps(run.training.canonical()))
    if run.probe:
        linear_probe(model, train, device)
    fitted = time.monotonic() - fitting
    measured = measure(Trained(model, run, train, test, device), rulers)
    seconds = sum(e["seconds"] for e in history)  # of every call, when the training was resumed
    shown = sum(e["images_per_second"] * e["seconds"] for e in history)
    origin = provenance(
        device,
        time.monotonic() - started - fitted + seconds,
        train_seconds=round(seconds, 1),
        images_per_second=round(shown / seconds, 1) if seconds else None,
        precision=precision_on(device, run.precision),
        data={"source": test.source, "train_sha256": train.fingerprint if train else None, "test_sha256": test.fingerprint},
        seed=run.seed,
        **measured.facts,
    )
    return Record(run, measured.rows, measured.arrays, history, origin)


def prepare(
    runs: Iterable[Run], rulers: Callable[[Run], Sequence[Ruler]], processes: int | None = None, deadline: float | None = None
) -> None:
    """Make sure that the data of all runs is there, and what their rulers need, once for all workers.

    `deadline` (time.monotonic) stops with BudgetSpentError.
    """

    def check_time() -> None:
        if deadline is not None and time.monotonic() > deadline:
            raise BudgetSpentError("the time budget ended while data was prepared; the same call goes on from here")

    needs: dict[tuple, Run] = {}
    for run in runs:
        needs.setdefault((run.study, run.data, json.dumps([run.data_options, run.test_images, run.evaluation])), run)
    for name in {run.data for run in needs.values()}:
        check_time()
        data.prepare(name)  # one download, seen by the user, instead of one in every worker
    for run in needs.values():
        check_time()
        test = evaluation_set(run)  # which makes what is made once and kept
        for ruler in rulers(run):
            if ruler.prepare and ruler.is_asked(run):
                ruler.prepare(run, test, processes, deadline)


def trained_model(run: Run, weights_file: Path, num_classes: int) -> nn.Module:
    """The model of a run with the weights that training left. Raises GazebookError where there are none."""
    model = models.initial_model(run, num_classes)
    if not checkpoint.restore(weights_file, model):
        raise GazebookError(
            f"the weights of run {run.key} are not in {weights_file.parent}; delete its record, and train it again with: "
            f"gazebook grid {run.study} --profile NAME"
        )
    return model.eval()


def _wrapped(model: nn.Module, method, seed: int) -> nn.Module:
    """The module that is trained: the model, or what its method puts around it; new weights depend on the seed alone."""
    if not hasattr(method, "wrap"):
        return model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return method.wrap(model)


def recipe(run: Run) -> Recipe:
    """The fields of a run that say how to train."""
    return Recipe(**{f.name: getattr(run, f.name) for f in fields(Recipe)})


def training_set(run: Run) -> ImageSet | None:
    """The training images of a run: a class-balanced share, nested for one seed, as the variant that the run asks for; None
    for a pretrained model that is taken as it is.
    """
    if run.updates == 0 and not run.probe:
        return None
    images = _load(run.data, "train", json.dumps(run.data_options, sort_keys=True))
    return composite.variant(images.fraction(run.fraction, run.seed, run.train_images), run.variant, run.seed)


def evaluation_set(run: Run) -> ImageSet:
    """The test images of a run, the same for all seeds."""
    options = run.data_options | run.evaluation.get("data", {})
    images = _load(run.data, "test", json.dumps(options, sort_keys=True))
    return images if run.test_images is None else images.fraction(1.0, 0, run.test_images)


@lru_cache(maxsize=4)
def _load(name: str, split: str, options: str) -> ImageSet:
    return data.load(name, split, **json.loads(options))
