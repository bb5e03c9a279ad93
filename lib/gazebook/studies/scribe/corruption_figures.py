"""Paper 1's figures on corrupted pictures (section 3.5, Figure 3) and the tables behind them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from gazebook import data, plots
from gazebook.data.corrupt import CORRUPTIONS
from gazebook.errors import GazebookError
from gazebook.explain import colour_mask
from gazebook.ledger import Ledger
from gazebook.runs import Run
from gazebook.studies.scribe.claims.select import NOISE, against_clean, clean_pictures, corrupted, pipeline
from gazebook.studies.scribe.evaluation import FIGURE_SEVERITY
from gazebook.studies.scribe.figures import SIZE_LABEL, present
from gazebook.studies.scribe.tidy import TITLES, wide

# The paper's names (Figure 3)
NAMES = {name: name.replace("_", " ").replace("jpeg", "JPEG").capitalize() for name in CORRUPTIONS} | {
    "jpeg_compression": "JPEG compression",
    "gaussian_noise": "Gaussian noise",
}
METRICS = {"accuracy": "accuracy", "confidence": "confidence", "ece_10": "ECE (ten bins)", "sparsity": "sparsity"}
PIPELINES = {
    "upsampled": "enlarged, shrunk without antialiasing",
    "upsampled_area": "enlarged, shrunk by areas",
    "direct": "corrupted at 32 px",
}


def severity_curves(frame: pd.DataFrame, metric: str, percent: int = 100) -> Figure:
    """A metric against severity (0: the same pictures, clean), a panel a corruption, a line an augmentation."""
    rows = _with_clean(corrupted(frame, percent=percent), frame)
    return plots.curves(
        rows, "severity", metric, "augmentation", present(rows), labels=TITLES, xlabel="severity",
        ylabel=_metric(metric), facet="condition", facets=NAMES, columns=4,
    )  # fmt: skip


def size_curves(frame: pd.DataFrame, metric: str, augmentation: str, severities: Sequence[int] = (0, 1, 3, 5)) -> Figure:
    """A metric of one augmentation's models against training set size, a panel a corruption, a line a severity."""
    rows = corrupted(frame, percent=None)
    rows = _with_clean(rows[rows["augmentation"] == augmentation], frame)
    labels = {s: "clean" if s == 0 else f"severity {s}" for s in severities}
    return plots.curves(
        rows, "percent", metric, "severity", list(severities), labels=labels, xlabel=SIZE_LABEL, ylabel=_metric(metric),
        facet="condition", facets=NAMES, columns=4,
    )  # fmt: skip


def augmentation_table(frame: pd.DataFrame, metric: str, percent: int = 100) -> pd.DataFrame:
    """A metric by corruption (rows) and augmentation (columns), means over severities and seeds."""
    table = wide(corrupted(frame, percent=percent), ["condition"], "augmentation", metric)
    order = [a for a in TITLES if a in table.columns]
    return table.reindex([c for c in CORRUPTIONS if c in table.index])[order].rename(index=NAMES, columns=TITLES)


def class_changes(frame: pd.DataFrame, kind: str, percent: int = 100, severities: Sequence[int] = (3, 4, 5)) -> pd.DataFrame:
    """How a share of each class (`kind`: predicted, mask or present) differs from that on the same clean pictures: by
    corruption and class, means over severities, augmentations and seeds.
    """
    rows = corrupted(frame, percent=percent)
    rows = rows[rows["severity"].isin(severities)]
    columns = [c for c in frame.columns if c.startswith(f"{kind}:")]
    clean = clean_pictures(frame)[columns].reindex(rows["key"]).set_index(rows.index)
    changes = (rows[columns].astype(float) - clean.astype(float)).groupby(rows["condition"]).mean()
    changes = changes.reindex([c for c in CORRUPTIONS if c in changes.index]).rename(index=NAMES)
    return changes.rename(columns=lambda c: c.partition(":")[2])


def pipeline_curves(frame: pd.DataFrame) -> Figure:
    """Accuracy lost to noise, in points, against severity for the three ways from picture to corrupted picture."""
    parts = [corrupted(frame, protocol=p) for p in PIPELINES]
    lost = [-100 * against_clean(part, frame, "accuracy", p) for part, p in zip(parts, PIPELINES, strict=True)]
    rows = pd.concat([part.assign(lost=values) for part, values in zip(parts, lost, strict=True)])
    return plots.curves(
        rows[rows["condition"].isin(NOISE)], "severity", "lost", "pipeline", list(PIPELINES), labels=PIPELINES,
        xlabel="severity", ylabel="accuracy lost (points)", facet="condition", facets={n: NAMES[n] for n in NOISE},
    )  # fmt: skip


def pipeline_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Loss of accuracy in points by corruption for both protocols, and the difference."""
    columns = {}
    for protocol in ("upsampled", "direct"):
        rows = corrupted(frame, protocol=protocol)
        lost = -100 * against_clean(rows, frame, "accuracy", protocol)
        columns[PIPELINES[protocol]] = lost.groupby(rows["condition"]).mean()
    table = pd.DataFrame(columns)
    table["difference"] = table.iloc[:, 1] - table.iloc[:, 0]
    return table.reindex([c for c in CORRUPTIONS if c in table.index]).rename(index=NAMES)


def figure3(ledger: Ledger, run: Run, examples: Sequence[int] = ()) -> Figure:
    """Corrupted pictures and the segmentation masks of a model at severity 3, a column a corruption (the paper's Figure 3).

    `examples` chooses from the pictures that the run has kept (empty: all). Raises GazebookError for one that it has not.
    """
    record = ledger.read(run)
    arrays, num_classes = record.arrays, len(data.class_names(run.data))
    clean = plots.record_pictures(arrays, num_classes)
    kept = len(arrays["corrupted_examples"][0]) if "corrupted_examples" in arrays else 0
    examples = list(examples) or list(range(kept))
    if not kept or not set(examples) <= set(range(kept)):
        raise GazebookError(
            f"run {run.key} keeps {kept} corrupted examples, {examples} were asked for; give others, or evaluate with more"
        )
    cells = []
    for e in examples:
        pictures = arrays["corrupted_examples"][:, e]
        attention = arrays["corrupted_attention"][:, e].astype(np.float32) / 255
        masks = colour_mask(pictures, attention, arrays["corrupted_winners"][:, e], num_classes)
        cells += [[clean["images"][e], *plots.as_pictures(pictures)], [clean["masks"][e], *masks]]
    columns = ["clean", *(NAMES[name].replace(" ", "\n") for name in CORRUPTIONS)]
    return plots.picture_grid(cells, rows=["picture", "mask"] * len(examples), columns=columns, size=1.0)


def caption_facts(frame: pd.DataFrame) -> dict[str, str]:
    """What a caption must say: the protocol, the number of pictures, the severity of figure 3."""
    kind = pipeline(frame)
    images = frame.loc[frame["pipeline"] == kind, "images"].max() if kind != "none" else 0
    return {"pipeline": PIPELINES.get(kind, kind), "images": f"{int(images)}", "severity": f"{FIGURE_SEVERITY}"}


def _with_clean(rows: pd.DataFrame, frame: pd.DataFrame, protocol: str = "") -> pd.DataFrame:
    """Rows of corrupted pictures, and for each corruption the same models' clean pictures as severity 0."""
    clean = clean_pictures(frame, protocol)
    clean = clean[clean.index.isin(rows["key"])].reset_index()
    return pd.concat([rows, *(clean.assign(condition=name) for name in rows["condition"].unique())], ignore_index=True)


def _metric(name: str) -> str:
    if name not in METRICS:
        raise GazebookError(f"unknown metric {name!r}; choose from {', '.join(METRICS)}")
    return METRICS[name]
