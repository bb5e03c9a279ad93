"""Rulers applied to models on images, in batches: one table, an `Estimate` a row, models compared on the same images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from gazebook import data
from gazebook.data.class_folders import ClassFolder, check_folder, open_folder
from gazebook.data.class_map import class_map, imagenet_names
from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.measure.opened import Opened, as_model, open_model, unique_names
from gazebook.measure.ruler import Measured, Trained
from gazebook.measure.ruler import Ruler as RunRuler
from gazebook.measure.source import Answers, Looked, Row, Ruler, Source, answer, missing_needs
from gazebook.measure.standard import SHOWN, chosen_rulers
from gazebook.metrics import mean_interval, share_interval
from gazebook.models import pretrained
from gazebook.models.pretrained import images_at_once
from gazebook.runs import Run

RESAMPLES = 1000
COLUMNS = ("model", "against", "ruler", "measure", "condition", "level", "value", "low", "high", "n", "verdict")


@dataclass
class Survey:
    """What was measured: `frame`, one row per measure and model, or per model and the first one that it is compared with
    (`against`), with its 95% interval over n images; `rows`, by ruler and model the values of each image; `shown`, by ruler the
    images of the report; `left_out`, rulers that could not be used and why, with the models that this concerns; `failed`, a
    line for each model that failed; `stopped`, whether it was ended early.
    """

    frame: pd.DataFrame
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    shown: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    stopped: bool = False


def report(
    models: str | Opened | Sequence[str | Opened],
    images: str | Path | ImageSet | ClassFolder,
    rulers: Sequence[str] = (),
    *,
    limit: int | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> pd.DataFrame:
    """The frame of `survey` for models (see `open_model`) on a folder, a data set of the book, or images in memory.

    Raises GazebookError where a model cannot be opened or fails.
    """
    given = [models] if isinstance(models, str | Opened) else models
    opened = unique_names([m if isinstance(m, Opened) else open_model(m, device=device) for m in given])
    if isinstance(images, str | Path):
        images = open_images(images, max(m.size for m in opened), limit=limit)
    found = survey(opened, Source.of(images, limit), rulers, device=device, progress=progress)
    if found.failed:
        raise GazebookError("; ".join(found.failed))
    return found.frame


def is_data_set(where: str | Path) -> bool:
    """Whether it names a data set of the book. Raises GazebookError where it is no folder either."""
    if str(where) in data.SOURCES and not Path(where).is_dir():
        return True
    check_folder(where)
    return False


def open_images(where: str | Path, size: int, *, limit: int | None = None, labels: bool = True) -> ImageSet | ClassFolder:
    """A folder (see `open_folder`) as squares of `size` pixels, or a data set of the book by name: its test split."""
    if not is_data_set(where):
        return open_folder(where, size, limit=limit, labels=labels)
    if where == "imagenet_samples9":
        return data.SOURCES[where].opened(size=size, limit=limit)
    return data.load(str(where), "test")


def survey(
    models: Sequence[Opened],
    source: Source,
    rulers: Sequence[str] = (),
    *,
    map_file: Path | None = None,
    device: str = "cpu",
    progress: bool = True,
) -> Survey:
    """Measure all models by the rulers of these names (none: all that can be). An interruption leaves what is finished."""
    found = Survey(pd.DataFrame(columns=list(COLUMNS)))
    maps, live = {}, []
    for model in models:
        try:
            known = source.images.class_names
            maps[model.name] = class_map(model.class_names, model.num_classes, known, map_file) if known else None
            live.append(model)
        except GazebookError as error:
            found.failed.append(f"{model.name}: {error}")
    clean: dict[str, Answers] = {}
    wanted = chosen_rulers(tuple(rulers))
    try:
        for ruler in wanted:
            for name, own in _by_ruler(ruler, live, source, maps, clean, found, device, progress).items():
                found.rows[ruler.name, name] = own
    except KeyboardInterrupt:
        found.stopped = True
    found.frame = _frame(found.rows, [m.name for m in models], source)
    return found


def _by_ruler(ruler, live, source, maps, clean, found, device, progress) -> dict[str, list[Row]]:
    """The rows of each model; one that fails goes out of `live` and is told in `found`."""
    able = []
    for model in live:
        reason = missing_needs(ruler, model, source)
        if reason:
            found.left_out.setdefault(f"{ruler.name}: {reason}", []).append(model.name)
        else:
            able.append(model)
    if not able:
        return {}
    index = source.cut if "masks" in ruler.needs else source.order
    labels = source.images.labels[index]
    measured: dict[str, dict] = {m.name: {} for m in able}
    parts = torch.arange(len(index)).split(batch_size(source, device))
    todo = list(able)
    try:
        for part in tqdm(parts, ruler.name, unit=" batches", disable=not progress, delay=2, leave=False):
            for name, error in _one_batch(ruler, todo, source, index, part, labels, maps, measured, found, device):
                found.failed.append(f"{error}")
                todo = [m for m in todo if m.name != name]
                live[:] = [m for m in live if m.name != name]
    except GazebookError as error:  # images that cannot be cut like this
        found.left_out[f"{ruler.name}: {error}"] = [model.name for model in able]
        return {}
    rows = {}
    for model in todo:
        joined = {key: _joined(values) for key, values in measured[model.name].items()}
        if ruler.inside:
            rows[model.name] = [Row(measure, values, condition) for (measure, condition), values in joined.items()]
            continue
        if model.name not in clean:
            own = joined["image",] if ("image",) in joined else _clean(model, source, maps, device)
            clean[model.name] = own.taken(source.order.argsort())
        before = clean[model.name].taken(index)
        rows[model.name] = ruler.read(Looked(index.numpy(), labels.numpy(), joined, before, source))
    return rows


def _one_batch(ruler: Ruler, models, source, index, part, labels, maps, measured, found, device) -> Iterable[tuple[str, str]]:
    """All models on one batch; yields (model, error) for one that fails."""
    shown = found.shown.setdefault(ruler.name, {})
    broken = {}
    if ruler.inside:
        for model in models:
            try:
                values, pictures = ruler.inside(model, source, index, part, device)
            except GazebookError as error:
                broken[model.name] = str(error)
                continue
            for key, own in values.items():
                measured[model.name].setdefault(key, []).append(own)
            if part[0] == 0:
                for title, own in pictures.items():
                    shown[title if title == "image" else f"{title}, {model.name}"] = own[:SHOWN]
        return broken.items()
    for key, made in ruler.make(source, index, part):
        if part[0] == 0 and (title := ruler.title(*key)):
            shown[title] = as_bytes(made[:SHOWN])
        for model in models:
            if model.name in broken:
                continue
            try:
                own = answer(model, made, labels[part], maps[model.name], device)
                measured[model.name].setdefault(key, []).append(own)
            except GazebookError as error:
                broken[model.name] = str(error)
    return broken.items()


def batch_size(source: Source, device: str) -> int:
    """How many images are looked at together."""
    side = source.images.select(torch.zeros(1, dtype=torch.int64)).images.shape[-1]
    return images_at_once(side, device)


def as_bytes(images: torch.Tensor) -> torch.Tensor:
    """Images uint8, whatever they were."""
    return images if images.dtype == torch.uint8 else (images * 255).round().to(torch.uint8)


def _joined(parts: list):
    return Answers.joined(parts) if isinstance(parts[0], Answers) else np.concatenate(parts)


def _clean(model: Opened, source: Source, maps: dict, device: str) -> Answers:
    """A model's answers to the images as they are, in their order."""
    parts = []
    for part in source.order.split(batch_size(source, device)):
        batch = source.images.select(part)
        parts.append(answer(model, batch.images, batch.labels, maps[model.name], device))
    return Answers.joined(parts)


# estimates ----------------------------------------------------------------------------------------------------------------


def _frame(rows: dict[tuple[str, str], list[Row]], names: list[str], source: Source) -> pd.DataFrame:
    """Rows of each model, and of each but the first minus the first, on the same images."""
    lines = []
    for (ruler, name), own in rows.items():
        lines += [_line(row, row.values, ruler, name) for row in own]
    for (ruler, name), own in rows.items():
        first = next((n for n in names if (ruler, n) in rows), None)
        if name == first:
            continue
        base = {(r.measure, r.condition, str(r.level)): r for r in rows[ruler, first]}
        for row in own:
            other = base.get((row.measure, row.condition, str(row.level)))
            if other is not None and other.values.shape == row.values.shape:
                lines.append(_difference(row, other, ruler, name, first))
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    frame.attrs["images"] = len(source.images)
    return frame


def _line(row: Row, values: np.ndarray, ruler: str, model: str) -> dict:
    alone = values is row.values  # else a difference
    value, low, high, n = estimated(values, row.statistic, row.share and alone)
    low = max(low, row.least) if alone else low
    named = {"model": model, "against": "", "ruler": ruler, "measure": row.measure, "condition": row.condition}
    return named | {"level": row.level, "value": value, "low": low, "high": high, "n": n, "verdict": ""}


def _difference(row: Row, other: Row, ruler: str, model: str, first: str) -> dict:
    """A model minus the first one, with a verdict where the interval allows."""
    if row.statistic is None:
        line = _line(row, row.values - other.values, ruler, model)
    else:
        k = row.values.shape[1]
        both = Row(row.measure, np.concatenate([row.values, other.values], axis=1), row.condition, row.level,
                   lambda means: row.statistic(means[:k]) - row.statistic(means[k:]))  # fmt: skip
        line = _line(both, both.values, ruler, model)
    apart = "higher" if line["low"] > 0 else "lower" if line["high"] < 0 else "not told apart"
    return line | {"against": first, "verdict": apart if line["n"] > 1 else ""}


def estimated(values: np.ndarray, statistic=None, share: bool = False, seed: int = 0) -> tuple[float, float, float, int]:
    """(value, low, high, n): a mean of values [N] with Student's 95% interval over images, Wilson's for shares that are 0 or 1;
    of a statistic of the means of values [N, K] the bootstrap's standard error gives the interval. NaN are left out.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)]
    n = len(values)
    if not n:
        return (float("nan"),) * 3 + (0,)
    if statistic is None:
        exact = share and np.isin(values, (0.0, 1.0)).all()  # of a difference Wilson's would never reach below 0
        return (float(values.mean()), *(share_interval(values) if exact else mean_interval(values)), n)
    value = float(statistic(values.mean(axis=0)))
    random, found = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        weights = np.bincount(random.integers(n, size=n), minlength=n) / n
        found.append(statistic(weights @ values))
    half = 1.96 * float(np.std(found, ddof=1))
    return value, value - half, value + half, n


# of a run in the ledger ---------------------------------------------------------------------------------------------------


def surveyed(trained: Trained) -> Measured:
    """Rows "survey": what the rulers that a run names say of its model on its test images, or on `images` of them, with 95%
    intervals over images.
    """
    model, names = trained.model, trained.test.class_names
    if isinstance(model, pretrained.Pretrained):
        black_box = trained.run.trunk.startswith(pretrained.TFLITE)
        opened = Opened(trained.run.trunk, model, imagenet_names(1000), 1000, not black_box)
    else:
        opened = as_model(model, size=trained.test.images.shape[-1], class_names=names, device=str(trained.device))
    source = Source.of(trained.test, trained.asked("images"))
    found = survey([opened], source, trained.asked("rulers"), device=str(trained.device), progress=False)
    if problems := [*found.failed, *found.left_out]:
        raise GazebookError(f"run {trained.run.key} cannot be measured ({'; '.join(problems)}); leave these rulers out")
    kept = found.frame.drop(columns=["model", "against", "verdict"]).rename(columns={"n": "images"})
    return Measured([{"split": "survey"} | row for row in kept.astype(object).where(kept.notna(), None).to_dict("records")])


def _check_rulers(run: Run, test: ImageSet) -> None:
    chosen_rulers(tuple(run.evaluation["rulers"]))


SURVEY = RunRuler(surveyed, ("rulers",), ("images",), check=_check_rulers)
