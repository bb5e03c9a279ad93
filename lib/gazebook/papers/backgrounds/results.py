"""The results of paper 2 as one tidy table: a row for each run and thing measured."""

from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import pandas as pd
import scipy
import torch

from gazebook import data, evidence, metrics
from gazebook.data.image_set import balanced_order
from gazebook.evidence import Estimate, hierarchical_interval, select
from gazebook.evidence.frame import tidy
from gazebook.images.composite import VARIANTS
from gazebook.ledger import Ledger, Record
from gazebook.measure.backgrounds import categories, correctness
from gazebook.papers.backgrounds.grid import AXES, LARGE, TFLITE, Axes, family, pretrained, samples, scenes, trained_on
from gazebook.papers.backgrounds.grid import released as released_runs
from gazebook.runs import Run

TITLES = {
    "original": "Original",
    "only_bg_b": "Only-BG-B",
    "only_bg_t": "Only-BG-T",
    "no_fg": "No-FG",
    "only_fg": "Only-FG",
    "mixed_same": "Mixed-Same",
    "mixed_rand": "Mixed-Rand",
    "mixed_next": "Mixed-Next",
    LARGE: "all images",
}
# differences between two variants, image by image: name -> (minuend, subtrahend)
CONTRASTS = {
    "gap": ("mixed_same", "mixed_rand"),
    "cut": ("original", "mixed_same"),
    "hole": ("no_fg", "only_bg_b"),
}
NATURAL = ("original", LARGE)  # training sets of whole images
# training sets whose models are compared image by image: the first minus the second
PAIRS = (("original", "mixed_rand"), ("original", LARGE))
TRIES = (1, 10, 100)  # backgrounds tried
SALIENCY = ("mask", "cam", "gradient")


def results(ledger: Ledger, axes: Axes | str, *names: str) -> pd.DataFrame:
    """The frame of the runs of a profile, or of `axes`, that are there; `names` limits them to some parts (`grid.parts`).

    Measure "accuracy": on each variant, averaged over draws of backgrounds; "contrast": see CONTRASTS, in shares of 1;
    "categories": shares of the kinds of images, and see `_needed`; "fooled": shares of foregrounds fooled within so many
    backgrounds, and "fooled, right before" of those that are classified rightly on Original; "inside": share of saliency
    inside the mask, and the mask's of the image; "original - mixed_rand" and so on: see PAIRS. Each with the 95% interval
    over test images. In part "samples", whose classes are of unequal size, accuracies and contrasts alone, and each class
    counts the same. Measure "pooled" are contrasts over seeds and images together. The other measures are as they were
    taken; draws of one condition are averaged. Labels: training_set, correlation.
    """
    axes = AXES[axes] if isinstance(axes, str) else axes
    rows: list[dict] = []
    for part, runs in _labelled(axes).items():
        if names and part not in names:
            continue
        images: dict[tuple, dict] = {}
        for run, label in runs:
            if run in ledger:
                record = ledger.read(run)
                values = _per_image(record)
                images[run.seed, label.get("training_set")] = values
                rows += _rows(record, values, {"part": part, **label, "seed": run.seed, "key": run.key})
        if part == "sets":
            rows += [*_pairs(images), *_pooled(images)]
    return tidy(rows, "backgrounds", ("training_set", "correlation"), classes=len(data.class_names(axes.fields["data"])))


def tested(frame: pd.DataFrame, condition: str | None = None, part: str = "sets", measure: str = "accuracy") -> pd.DataFrame:
    """The rows of a part and measure, of one condition or all."""
    rows = select(frame, part=part, measure=measure)
    return rows if condition is None else rows[rows["condition"] == condition]


def natural(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of models of whole images."""
    return rows[rows["training_set"].isin(NATURAL)]


def chance(frame: pd.DataFrame) -> float:
    """One over the number of classes: nine, or in scenes ten."""
    return 1 / frame.attrs.get("classes", 9)


def reliance(frame: pd.DataFrame) -> pd.DataFrame:
    """For each model of scenes: correlation in training, BG-gap, and true reliance, the accuracy that is lost when the same
    objects are drawn on random backgrounds instead of their class's own.
    """
    keys = ["key", "correlation", "seed"]
    truth = evidence.wide(tested(frame, part="scenes", measure="truth"), keys, "condition")
    if not {"rendered_home", "rendered_random"} <= set(truth):
        return pd.DataFrame(columns=["correlation", "seed", "gap", "reliance"])
    gap = tested(frame, "gap", "scenes", "contrast").set_index(keys)["value"]
    table = pd.DataFrame({"gap": gap, "reliance": truth["rendered_home"] - truth["rendered_random"]})
    return table.dropna().reset_index().drop(columns="key")


def models(frame: pd.DataFrame, *parts: str) -> pd.DataFrame:
    """Models whose progress is compared: one row each (mean over seeds), a column per variant. By default of whole images;
    `parts` names others, such as "pretrained" or "samples".
    """
    rows = select(frame, measure="accuracy", part=list(parts or ("sets", "family")))
    rows = rows if parts else natural(rows)
    return rows.pivot_table(index=["part", "model"], columns="condition", values="value", sort=False).dropna()


def released(ledger: Ledger, names: Sequence[str]) -> pd.DataFrame:
    """ImageNet classifiers on the released ImageNet-9, those that are in the ledger: a row each, one column per variant."""
    rows = [
        {"part": "released", "model": record.run.trunk} | {row["condition"]: row["accuracy"] for row in record.rows}
        for record in ledger.records(released_runs(names))
    ]
    return pd.DataFrame(rows, columns=["part", "model", *VARIANTS]).set_index(["part", "model"])


def slope(x: pd.Series, y: pd.Series) -> Estimate:
    """Least-squares slope with its 95% interval over models; NaN for fewer than four."""
    nan = float("nan")
    if len(x) < 4 or np.ptp(x) == 0:
        return Estimate(nan, nan, nan, len(x), "model")
    fit = scipy.stats.linregress(x, y)
    half = scipy.special.stdtrit(len(x) - 2, 0.975) * fit.stderr
    return Estimate(float(fit.slope), float(fit.slope - half), float(fit.slope + half), len(x), "model")


def _labelled(axes: Axes) -> dict[str, list[tuple[Run, dict]]]:
    """The runs of each part, each with what it is called in the table."""
    nine = [(trained_on(axes, name, seed), {"model": TITLES[name], "training_set": name})
            for seed in axes.seeds for name in axes.training_sets]  # fmt: skip
    rho = [run.data_options["background_correlation"] for run in scenes(axes)]
    return {
        "sets": nine,
        "scenes": [(run, {"model": f"correlation {r:g}", "correlation": r}) for run, r in zip(scenes(axes), rho, strict=True)],
        "family": [(run, {"model": name, "training_set": "original"}) for name, run in family(axes).items()],
        "pretrained": [(run, {"model": run.trunk}) for run in pretrained(axes)],
        "samples": [(run, {"model": run.trunk.removeprefix(TFLITE)}) for run in samples(axes)],
    }


def _per_image(record: Record) -> dict[str, np.ndarray]:
    """What is known of each test image, float [N] (or fewer): right on each variant (the share of draws), the contrasts,
    the category, whether some background fools the model, shares of saliency inside the mask.
    """
    labels = record.arrays["labels"]
    right = correctness(record.rows, record.arrays["predictions"], labels)
    values = right | {name: right[more] - right[less] for name, (more, less) in CONTRASTS.items()}
    values["category"] = categories(record.rows, record.arrays["predictions"], labels)
    if "tries" in record.arrays:
        tries = record.arrays["tries"]
        order = balanced_order(torch.from_numpy(labels.astype(np.int64)), int(labels.max()) + 1)[: len(tries)].numpy()
        values |= {"any": (tries > 0).astype(float), "right before": right["original"][order] > 0.5}
        values |= {str(n): ((tries > 0) & (tries <= n)).astype(float) for n in TRIES}
    return values | dict(zip(SALIENCY, record.arrays.get("saliency", np.empty((0, 0))).astype(float), strict=False))


def _rows(record: Record, values: dict[str, np.ndarray], named: dict) -> list[dict]:
    if named["part"] == "samples":
        labels = record.arrays["labels"]
        kinds = {"accuracy": VARIANTS, "contrast": CONTRASTS}
        return [named | {"measure": m, "condition": n} | _macro(values[n], labels) for m, names in kinds.items() for n in names]
    rows = [named | {"measure": "accuracy", "condition": name} | _share(values[name]) for name in VARIANTS if name in values]
    rows += [named | {"measure": "contrast", "condition": name} | _mean(values[name]) for name in CONTRASTS]
    kinds = {name: values["category"] == i for i, name in enumerate(metrics.CATEGORIES)}
    rows += [
        named | {"measure": "categories", "condition": name} | _share(own) for name, own in (kinds | _needed(values)).items()
    ]
    for name in (*map(str, TRIES), "any"):
        if name in values:
            rows.append(named | {"measure": "fooled", "condition": name} | _share(values[name]))
            own = values[name][values["right before"]]
            rows.append(named | {"measure": "fooled, right before", "condition": name} | _share(own))
    rows += [named | {"measure": "inside", "condition": name} | _mean(values[name]) for name in SALIENCY if name in values]
    others = pd.DataFrame([r for r in record.rows if r["split"] not in ("test", "adversarial")])
    if len(others):
        others = others.drop(columns="draw", errors="ignore").groupby(["split", "condition"], sort=False).mean().reset_index()
        others = others.rename(columns={"split": "measure", "images": "n", "accuracy": "value"})
        rows += [named | row | _binomial(row) for row in others.to_dict("records")]
    return rows


def _needed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Wrong on Mixed-Rand, of the images that are right on Original ("needed"); and of those that are also right on
    Mixed-Same, so that it is not cutting and pasting that harms them ("needed, survives cutting").
    """
    right, survives = values["original"] > 0.5, values["mixed_same"] > 0.5
    wrong = values["mixed_rand"] <= 0.5
    return {"needed": wrong[right], "needed, survives cutting": wrong[right & survives]}


def _pairs(images: dict[tuple, dict]) -> list[dict]:
    """Differences between models of two training sets, image by image, for each seed that has both."""
    rows = []
    for a, b in PAIRS:
        for seed in dict.fromkeys(seed for seed, _ in images):
            if not {(seed, a), (seed, b)} <= set(images):
                continue
            more, less = images[seed, a], images[seed, b]
            named = {"part": "sets", "model": f"{TITLES[a]} - {TITLES[b]}", "seed": seed, "measure": f"{a} - {b}"}
            for name in (*VARIANTS, *CONTRASTS, "any", *SALIENCY):
                if name in more and name in less:
                    rows.append(named | {"condition": name} | _mean(more[name] - less[name]))
    return rows


def _pooled(images: dict[tuple, dict]) -> list[dict]:
    """Each contrast of each training set over seeds and images together."""
    rows = []
    for name in dict.fromkeys(name for _, name in images):
        for contrast in CONTRASTS:
            found = hierarchical_interval([own[contrast] for (_, n), own in images.items() if n == name])
            named = {"part": "sets", "model": TITLES[name], "training_set": name, "measure": "pooled", "condition": contrast}
            rows.append(named | {"value": found.value, "low": found.low, "high": found.high, "n": found.n})
    return rows


def _binomial(row: dict) -> dict:
    """The interval of an accuracy that was measured on so many images, from its count."""
    if not np.isfinite(row.get("value", np.nan)):
        return {}
    right = round(row["value"] * row["n"])
    return dict(zip(("low", "high"), metrics.share_interval(np.arange(int(row["n"])) < right), strict=True))


def _mean(values: np.ndarray) -> dict:
    """Mean with Student's 95% interval."""
    values = values[np.isfinite(values)].astype(float)
    if not len(values):
        return {"n": 0, "value": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = metrics.mean_interval(values)
    return {"n": len(values), "value": float(values.mean()), "low": low, "high": high}


def _macro(values: np.ndarray, labels: np.ndarray) -> dict:
    """Mean of the classes' means with Welch's 95% interval over images."""
    mean, low, high = metrics.mean_of_means_interval([values[labels == c] for c in np.unique(labels)])
    return {"n": len(values), "value": mean, "low": low, "high": high}


def _share(values: np.ndarray) -> dict:
    """Mean of values in [0, 1] with its 95% interval: Wilson's where all are 0 or 1, which does not collapse at the ends.

    Not for differences, even where those happen to be 0 or 1: Wilson's interval never reaches below 0.
    """
    found = _mean(values)
    if found["n"] and np.isin(values, (0.0, 1.0)).all():
        return found | dict(zip(("low", "high"), metrics.share_interval(values), strict=True))
    return found


def paper_table() -> pd.DataFrame:
    """The authors' README: accuracy on three variants and BG-gap, in percent, at 224 pixels on the released test sets."""
    with files("gazebook.papers.backgrounds").joinpath("paper", "readme_table.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def percent_text(rows: pd.DataFrame) -> str:
    """'31.2 ± 2.5': the mean over seeds in percent, and the half width of the interval over test images."""
    if not len(rows):
        return ""
    mean, half = 100 * np.mean(rows["value"]), 50 * np.mean(rows["high"] - rows["low"])
    return f"{mean:.1f}\u202f±\u202f{half:.1f}"


def short_names(axes: Axes, labels: Sequence[int]) -> list[str]:
    """Short names: vehicle, instrument."""
    names = data.class_names(axes.fields["data"])
    return [names[label].split()[-1] for label in labels]


def gate(frame: pd.DataFrame) -> str:
    """This paper's claims are about signs, orders and gaps: no regime is asked for but that of each claim's `needs`."""
    return ""
