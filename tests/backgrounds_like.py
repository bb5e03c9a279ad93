"""Made-up records of part 2 that agree with the paper, and with this book's readings of it."""

import dataclasses

import numpy as np

from gazebook.images.composite import MIXED, VARIANTS
from gazebook.ledger import Ledger, Record
from gazebook.papers import backgrounds

N, CLASSES = 2000, 10
WHOLE = dict(zip(VARIANTS, (0.90, 0.42, 0.34, 0.55, 0.60, 0.80, 0.36, 0.30), strict=True))
NINE = {
    "original": WHOLE,
    "large": WHOLE,
    "only_bg_b": WHOLE | {"original": 0.45, "only_bg_b": 0.54, "mixed_same": 0.3, "mixed_rand": 0.2},
    "only_bg_t": WHOLE | {"original": 0.44, "only_bg_t": 0.50, "mixed_same": 0.3, "mixed_rand": 0.2},
    "no_fg": WHOLE | {"original": 0.43, "no_fg": 0.71, "mixed_same": 0.3, "mixed_rand": 0.2},
    "only_fg": WHOLE | {"original": 0.40, "only_fg": 0.9},
    "mixed_same": WHOLE,
    "mixed_rand": WHOLE | {"original": 0.73, "mixed_same": 0.70, "mixed_rand": 0.70},
    "mixed_next": WHOLE,
}


def axes():
    """The demo's, with three seeds, one pretrained model, six on photographs, and five correlations."""
    own = backgrounds.axes("demo", seeds=[0, 1, 2], correlations=[0.0, 0.25, 0.5, 0.75, 1.0])
    grown = {f"{k} epochs": {"epochs": k} for k in (1, 2, 3, 4, 5, 6)}
    return dataclasses.replace(own, pretrained=("efficientnet-lite0",), samples=tuple("abcdef"), family=grown)


def record(run, accuracy, rows=(), **arrays) -> Record:
    """Predictions with these accuracies: the images that are right on one variant are right on all easier ones."""
    labels = np.arange(N) % CLASSES
    hardness = np.random.default_rng(0).permutation(N) / N
    found, predictions = [], []
    for name in VARIANTS:
        for draw in range(3 if name in MIXED else 1):
            right = hardness < accuracy[name]
            predictions.append(np.where(right, labels, (labels + 1) % CLASSES))
            found.append({"split": "test", "condition": name, "draw": draw, "images": N, "accuracy": float(right.mean())})
    arrays = {"labels": labels.astype(np.uint8), "predictions": np.stack(predictions).astype(np.uint8), **arrays}
    origin = {"commit": "made-up", "data": {"source": "made-up", "test_sha256": "0" * 64}, "composites_per_second": 1000.0}
    origin |= {"gazebook": "0", "python": "3", "torch": "2", "device": "none", "seconds": 1.0, "date": "2020-01-01"}
    return Record(run, [*found, *rows], arrays, [], origin)


def tries(first, ten, whole) -> np.ndarray:
    """1000 foregrounds, of which these shares fall at the first background, within ten, within all."""
    place = np.arange(1000) / 1000
    return np.select([place < first, place < ten, place < whole], [1, 7, 300], 0).astype(np.int32)


def saliency(inside) -> np.ndarray:
    """float16 [3, S]: masks of .2 of the image; Grad-CAM and gradient with about this share inside."""
    spread = np.linspace(-0.05, 0.05, 200)
    return np.stack([0.2 + 0 * spread, inside + spread, inside + spread]).astype(np.float16)


def fill(ledger: Ledger) -> Ledger:
    """All runs of `axes`."""
    own = axes()
    for seed in own.seeds:
        for name in own.training_sets:
            run = backgrounds.trained_on(own, name, seed)
            rows = [
                {"split": "adversarial", "condition": "any background", "images": 1000, "accuracy": 0.1, "backgrounds": 2000}
            ]
            rows += reference_rows() if run == backgrounds.reference(own) else []
            shares = {"mixed_rand": (0.3, 0.6, 0.7), "large": (0.45, 0.75, 0.82)}.get(name, (0.5, 0.8, 0.88))
            arrays = {"tries": tries(*shares), "saliency": saliency(0.45 if name == "mixed_rand" else 0.35)}
            ledger.write(record(run, NINE[name], rows, **arrays))
    for run in backgrounds.scenes(own):
        rho = run.data_options["background_correlation"]
        accuracy = WHOLE | {"mixed_same": 0.9, "mixed_rand": 0.9 - 0.8 * rho}
        truth = [
            {"split": "truth", "condition": "rendered_home", "draw": 0, "images": N, "accuracy": 0.95},
            {"split": "truth", "condition": "rendered_random", "draw": 0, "images": N, "accuracy": 0.95 - 0.82 * rho},
        ]
        ledger.write(record(run, accuracy, truth))
    for k, run in enumerate(backgrounds.family(own).values()):
        less = 0.05 * (k + 1)  # accuracy below that of the model of Original
        accuracy = WHOLE | {"original": 0.9 - less, "only_bg_t": 0.34 - 0.3 * less, "mixed_rand": 0.36 - 1.2 * less}
        ledger.write(record(run, accuracy | {"mixed_same": 0.8 - 0.7 * less}))
    for run in backgrounds.pretrained(own):
        ledger.write(record(run, WHOLE | {"mixed_same": 0.86, "mixed_rand": 0.79}))
    for k, run in enumerate(backgrounds.samples(own)):
        better = {"original": 0.85 + 0.02 * k, "only_bg_t": 0.3 + 0.01 * k, "mixed_same": 0.7 + 0.02 * k}
        ledger.write(record(run, WHOLE | better | {"mixed_rand": 0.55 + 0.04 * k}))
    return ledger


def reference_rows() -> list[dict]:
    controls = {"box geometry": 0.23, "silhouette": 0.4}
    masks = {"ellipse": (0.04, 1.0), "rectangle": (0.4, 0.7), "rectangle4": (0.1, 0.8)}
    return [
        *({"split": "control", "condition": name, "images": N, "accuracy": a} for name, a in controls.items()),
        *(
            {"split": "masks", "condition": name, "images": 180, "empty": e, "mask_share": 0.2, "agreement": a}
            for name, (e, a) in masks.items()
        ),
    ]
