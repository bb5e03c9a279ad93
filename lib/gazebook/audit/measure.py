"""What models see in unlabelled pictures: per picture, and summed up with intervals and ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from gazebook import metrics
from gazebook.audit.models import Audited
from gazebook.audit.pictures import Pictures
from gazebook.models import lse_pool
from gazebook.studies.scribe.evaluation import read_attention
from gazebook.train import to_float

METRICS = {
    "sparsity": "sparsity",
    "regions": "regions",
    "classes": "classes in the region",
    "entropy": "entropy of the prediction (nats)",
}
BATCH = 250
FEW = 100  # pictures below which the report warns


@torch.no_grad()
def audit(models: Sequence[Audited], pictures: dict[int, Pictures], device: str = "cpu", progress: bool = True) -> pd.DataFrame:
    """A row a model and picture: sparsity, regions, classes, entropy, confidence, predicted class. `pictures` by size."""
    rows = []
    for model in tqdm(models, "auditing", unit=" models", delay=2, disable=not progress, leave=False):
        given = pictures[model.size]
        module = model.module.to(device)
        for start in range(0, len(given.images), BATCH):
            batch = given.images[start : start + BATCH]
            maps = module.cam(to_float(batch.to(device)))
            read, _ = read_attention(maps, batch.shape[-2:])
            p = _pooled(module, maps).softmax(dim=1).double()
            part = {name: read[name].double().cpu().numpy() for name in ("sparsity", "classes")}
            part["regions"] = metrics.regions_per_image(read["a"].cpu().numpy())
            part["entropy"] = -torch.special.xlogy(p, p).sum(dim=1).cpu().numpy()
            part["confidence"] = p.max(dim=1).values.cpu().numpy()
            part["predicted"] = [model.class_names[i] for i in p.argmax(dim=1).tolist()]
            names = given.names[start : start + BATCH]
            rows.append(pd.DataFrame({"model": model.name, "picture": names, **part}))
    return pd.concat(rows, ignore_index=True)


def summary(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row a model, the sparsest first: its rank, means with 95% bootstrap intervals over pictures, and `clear`: whether it
    is sparser than the next model, picture by picture, by more than the interval of the difference.
    """
    table = rows.pivot_table(index="picture", columns="model", values="sparsity", sort=False)
    order = list(table.mean().sort_values(ascending=False, kind="stable").index)
    lines = []
    for rank, name in enumerate(order, 1):
        own = rows[rows["model"] == name]
        line = {"rank": rank, "model": name, "pictures": len(own)}
        for metric in METRICS:
            values = own[metric].to_numpy(float)
            line[metric] = values.mean()
            line[f"{metric}_low"], line[f"{metric}_high"] = metrics.bootstrap_interval(values, seed=seed)
        if rank < len(order):
            difference = (table[name] - table[order[rank]]).to_numpy()
            line["clear"] = metrics.bootstrap_interval(difference, seed=seed)[0] > 0
        lines.append(line)
    return pd.DataFrame(lines)


def notes(models: Sequence[Audited], pictures: Pictures) -> list[str]:
    """What a reader of the ranking must know: pictures skipped or few, models of different recipes."""
    found = []
    if pictures.skipped:
        name, reason = next(iter(pictures.skipped.items()))
        found.append(f"Skipped, because they could not be read: {len(pictures.skipped)} (first {name}: {reason}).")
    if len(pictures.names) < FEW:
        found.append(f"Few pictures ({len(pictures.names)}): intervals are wide; give {FEW} or more.")
    recipes = [model.recipe for model in models]
    if len(models) > 1 and any(recipe is None for recipe in recipes):
        found.append("How some models were trained is not known here: the ranking means something within one recipe only.")
    elif different := sorted({k for a in recipes for b in recipes for k in {*a, *b} if a.get(k) != b.get(k)}):
        found.append(
            f"The models differ in {', '.join(different)}: sparsity ranks models of one recipe only; across recipes the order "
            "turns round in the paper's own tables."
        )
    found.append("Sparsity also grows with the length of training: compare models that were trained for equally many epochs.")
    return found


def _pooled(module: torch.nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """Image logits of class maps: by the module's own head, where it has one that this project knows."""
    head = getattr(module, "head", None)
    return head.pool(maps) if callable(getattr(head, "pool", None)) else lse_pool(maps)


def interval_text(line: pd.Series, metric: str) -> str:
    """'0.640 [0.630, 0.650]'."""
    value, low, high = (np.format_float_positional(line[k], 3, unique=False) for k in _bounds(metric))
    return f"{value} [{low}, {high}]"


def _bounds(metric: str) -> tuple[str, str, str]:
    return metric, f"{metric}_low", f"{metric}_high"
