"""The rulers of the book on any classifier: what is done to images, and what a model's answers to them say.

A ruler makes images, one batch at a time; each model answers each of them once, and what is read off its answers is a value an
image, so that models are compared on the same images. Grad-CAM and class maps, which look inside, are rulers of their own.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from gazebook import metrics
from gazebook.data.image_set import ImageSet
from gazebook.errors import check_known
from gazebook.explain import grad_cam, segmentation_mask
from gazebook.explain.saliency import default_layer
from gazebook.images import composite, corrupt, noise
from gazebook.images.erase import erased
from gazebook.measure.attention import read_attention
from gazebook.measure.attributes import LEAST
from gazebook.measure.opened import Opened
from gazebook.measure.source import Looked, Row, Ruler, Source
from gazebook.train import to_float

DRAWS = 5  # backgrounds of each foreground in Mixed-Same and Mixed-Rand
BACKGROUNDS = 10  # tried by the adversarial search
SEVERITIES = (1, 3, 5)
LEVELS = {"sigma": (30, 60, 120), "l2": (25, 50, 100)}  # paper 3's, of noise: 1/255, and L2 norms at 224 pixels
MIDDLE = (60, 50)  # of the levels, for the report
REGIONS = ("foreground", "background")
MASKS = ("own", "shuffled", "centred")  # of the image; of another one, and a disc in the middle, as controls
BINS = 15  # of the ECE
SHOWN = 4  # images of the report's figures


# accuracy and calibration -------------------------------------------------------------------------------------------------


def _as_they_are(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    yield ("image",), source.images.select(index[part]).images


def _accuracy(looked: Looked) -> list[Row]:
    right, sure = looked.right("image"), looked.answers["image",].confidence.astype(float)
    place = np.clip(np.ceil(sure * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.zeros((len(right), BINS))
    gaps[np.arange(len(right)), place] = right - sure
    error = lambda means: float(np.abs(means).sum())  # noqa: E731 (expected calibration error, Guo et al. 2017)
    return [Row("accuracy", right, share=True), Row("confidence", sure), Row("ECE", gaps, statistic=error, least=0.0)]


# corruptions and erasing --------------------------------------------------------------------------------------------------


def _corrupted(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    pictures = source.images.select(index[part]).images.permute(0, 2, 3, 1).contiguous().numpy()
    for name in corrupt.CORRUPTIONS:
        for severity in SEVERITIES:
            made = corrupt.corrupt(pictures, name, severity, seed=int(part[0]))
            yield (name, severity), torch.from_numpy(made.transpose(0, 3, 1, 2).copy())


def _robust(looked: Looked) -> list[Row]:
    """Accuracy, and agreement with the answer to the image as it was, of each condition and over all."""
    rows, same, right = [], [], []
    for key, found in looked.answers.items():
        same.append((found.predicted == looked.clean.predicted).astype(float))
        rows.append(Row("consistency", same[-1], *key, share=True))
        if looked.source.labelled:
            right.append(looked.right(*key))
            rows.append(Row("accuracy", right[-1], *key, share=True))
    rows.append(Row("consistency", np.mean(same, axis=0), "all", share=True))
    if looked.source.labelled:
        before = (looked.clean.predicted == looked.labels).astype(float)
        rows.append(Row("accuracy lost", before - np.mean(right, axis=0), "all"))
    return rows


def _erased(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    yield ("a box of noise",), erased(source.images.select(index[part]).images, seed=int(part[0]))[0]


# backgrounds (paper 2) ----------------------------------------------------------------------------------------------------


def _variants(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    batch = source.images.select(index[part])
    for name in composite.VARIANTS:
        if name not in composite.MIXED:
            yield (name, 0), composite.variant(batch, name).images
    for name in ("mixed_same", "mixed_rand"):
        for draw in range(DRAWS):
            yield (name, draw), _before(source, batch, index[_partners(source, name, draw)[part]])


@lru_cache(maxsize=2 * DRAWS)  # the same for every batch
def _partners(source: Source, name: str, draw: int) -> torch.Tensor:
    """Whose background each image that can be cut gets in a draw, as places among those."""
    return composite.partners(source.images.labels[source.cut], name, len(source.images.class_names), draw)


def _before(source: Source, batch: ImageSet, others: torch.Tensor) -> torch.Tensor:
    """Foregrounds of a batch before the backgrounds of other images (Only-BG-T)."""
    behind = source.images.select(others)
    return composite.compose(batch.images, batch.masks, composite.tiled(behind.images, behind.boxes))


def _background_gap(looked: Looked) -> list[Row]:
    right: dict[str, list[np.ndarray]] = {}
    for name, draw in looked.answers:
        right.setdefault(name, []).append(looked.right(name, draw))
    mean = {name: np.mean(draws, axis=0) for name, draws in right.items()}
    rows = [Row("accuracy", values, name, share=True) for name, values in mean.items()]
    rows.append(Row("BG-gap", mean["mixed_same"] - mean["mixed_rand"]))
    return [*rows, Row("lost by cutting and pasting", mean["original"] - mean["mixed_same"])]


def _ten_backgrounds(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    batch = source.images.select(index[part])
    shift = torch.randperm(len(index) - 1, generator=torch.Generator().manual_seed(0))[:BACKGROUNDS] + 1
    for k in range(BACKGROUNDS):  # another image for each, never the same twice, never its own
        yield (k,), _before(source, batch, index[(part + shift[k % len(shift)]) % len(index)])


def _fooled(looked: Looked) -> list[Row]:
    wrong = np.stack([1 - looked.right(*key) for key in looked.answers])
    return [Row("fooled", wrong[:n].max(axis=0), f"within {n} backgrounds", share=True) for n in (1, BACKGROUNDS)]


# noise (paper 3) ----------------------------------------------------------------------------------------------------------


def _noisy(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    batch = source.images.select(index[part])
    other = torch.arange(len(index)).roll(1)[part]  # a mask of another image, each used once
    masks = {"own": batch.masks, "shuffled": source.images.select(index[other]).masks, "centred": noise.centred(batch.masks)}
    images, side = to_float(batch.images), batch.images.shape[-1]
    for kind, levels in LEVELS.items():
        for level in levels:
            strength = level / 255 if kind == "sigma" else noise.scaled_norm(level, side)
            for mask, where in masks.items():
                for region in REGIONS:
                    generator = torch.Generator().manual_seed(1000 * int(part[0]) + 2 * level + REGIONS.index(region))
                    chosen = where if region == "foreground" else ~where
                    yield (kind, level, mask, region), noise.add(images, chosen, strength, kind, generator)[0]


def _sensitivity(looked: Looked) -> list[Row]:
    rows = [
        Row("accuracy", looked.right(kind, level, mask, region), f"{kind} in the {region}, {mask} masks", level, share=True)
        for kind, level, mask, region in looked.answers
    ]
    for kind, levels in LEVELS.items():
        mean = [
            np.mean([looked.right(kind, level, mask, region) for level in levels], axis=0)
            for mask in MASKS for region in REGIONS
        ]  # fmt: skip
        for i, mask in enumerate(MASKS):
            own = mean[2 * i : 2 * i + 2]
            rows.append(Row("RFS", np.stack(own, axis=1), f"{kind}, {mask} masks", statistic=_rfs))
            if i:
                both = np.stack([*mean[:2], *own], axis=1)
                rows.append(Row(f"RFS, own minus {mask} masks", both, kind, statistic=_rfs_difference))
    return rows


def _rfs(means: np.ndarray) -> float:
    return metrics.relative_foreground_sensitivity(*(float(np.clip(m, 0, 1)) for m in means))


def _rfs_difference(means: np.ndarray) -> float:
    return _rfs(means[:2]) - _rfs(means[2:])


# attributes ---------------------------------------------------------------------------------------------------------------


def _greyed(source: Source, index: torch.Tensor, part: torch.Tensor) -> Iterator:
    batch = source.images.select(index[part])
    images, half = to_float(batch.images), batch.images.shape[-1] // 2
    for a, name in enumerate(batch.attribute_names):
        mask = batch.attributes[:, a]
        yield (name, "grey"), noise.ablate(images, mask)
        yield (name, "grey elsewhere"), noise.ablate(images, mask.roll((half, half), dims=(1, 2)))


def _attribute_loss(looked: Looked) -> list[Row]:
    images = looked.source.images
    shown = (images.attributes.flatten(2).sum(dim=2) >= LEAST).numpy()[looked.index]
    rows = []
    for name, way in looked.answers:
        lost = (looked.clean.probability - looked.answers[name, way].probability).astype(float)
        lost[~shown[:, images.attribute_names.index(name)]] = np.nan
        rows.append(Row("probability lost", lost, f"{name}, {way}"))
    means = {way: np.nanmean([r.values for r in rows if r.condition.endswith(f", {way}")], axis=0)
             for way in ("grey", "grey elsewhere")}  # fmt: skip
    return [*rows, Row("attribute loss", means["grey"] - means["grey elsewhere"])]


# inside a model -----------------------------------------------------------------------------------------------------------


def _aligned(model: Opened, source: Source, index: torch.Tensor, part: torch.Tensor, device: str) -> tuple[dict, dict]:
    """Grad-CAM of the predicted class against the mask, with masks of other images and with a Gaussian in the middle."""
    batch = source.images.select(index[part])
    x = to_float(batch.images).to(device)
    maps = grad_cam(
        model.network, x, model.probabilities(x).argmax(dim=1).to(device), default_layer(model.network, x), scale=False
    )
    maps, masks = maps.cpu().numpy(), batch.masks.numpy()
    others = source.images.select(index[torch.arange(len(index)).roll(1)[part]]).masks.numpy()
    gaussian = np.broadcast_to(metrics.centred_gaussian(maps.shape[-1]), maps.shape)
    found = {}
    for control, pair in (("own", (maps, masks)), ("shuffled masks", (maps, others)), ("centred Gaussian", (gaussian, masks))):
        found |= {(score, control): values for score, values in metrics.saliency_alignment(*pair).items()}
    for control in ("shuffled masks", "centred Gaussian"):
        found["average precision gained", f"over {control}"] = (
            found["average_precision", "own"] - found["average_precision", control]
        )
    return found, {"image": batch.images, "Grad-CAM": _heat(batch.images, maps)}


def _heat(images: torch.Tensor, maps: np.ndarray) -> torch.Tensor:
    """Images that are dark where nothing is looked at."""
    top = np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
    light = torch.from_numpy(0.15 + 0.85 * maps / top)
    return (images * light[:, None]).round().to(torch.uint8)


def _sparse(model: Opened, source: Source, index: torch.Tensor, part: torch.Tensor, device: str) -> tuple[dict, dict]:
    """What the class maps of an implicit-background model say of images without labels (paper 1, section 2.2)."""
    batch, network = source.images.select(index[part]), model.network
    with torch.no_grad():
        x = network.resized(to_float(batch.images).to(device))
        maps = model.maps.to(device).cam((x - network.mean) / network.std)
        p = model.maps.pool(maps).softmax(dim=1).double()
    read, _ = read_attention(maps, x.shape[-2:])
    found = {(name, ""): read[name].double().cpu().numpy() for name in ("sparsity", "classes")}
    found["regions", ""] = metrics.regions_per_image(read["a"].cpu().numpy()).astype(float)
    found["entropy", ""] = -torch.special.xlogy(p, p).sum(dim=1).cpu().numpy()
    shown = torch.from_numpy(segmentation_mask(batch.images[:SHOWN], maps[:SHOWN].cpu())).permute(0, 3, 1, 2)
    return found, {"image": batch.images, "mask": shown}


RULERS = {
    ruler.name: ruler
    for ruler in (
        Ruler("accuracy", "How often is it right, and how sure is it?", frozenset({"labels"}), _as_they_are, _accuracy,
              title=lambda key: None),
        Ruler("variants", "What do backgrounds add?", frozenset({"labels", "masks"}), _variants, _background_gap,
              title=lambda name, draw: None if draw else name.replace("_", "-")),
        Ruler("adversarial", "Does some background fool it?", frozenset({"labels", "masks"}), _ten_backgrounds, _fooled,
              title=lambda k: f"background {k + 1}"),
        Ruler("noise", "Where does noise harm more?", frozenset({"labels", "masks"}), _noisy, _sensitivity,
              title=lambda kind, level, mask, region: f"{kind} {level} {region}, {mask} mask" if level in MIDDLE else None),
        Ruler("alignment", "Does it look at the object?", frozenset({"masks", "gradients"}), inside=_aligned),
        Ruler("attributes", "Does it need single attributes?", frozenset({"labels", "attributes"}), _greyed, _attribute_loss),
        Ruler("erasing", "Does it survive a box of noise?", frozenset(), _erased, _robust),
        Ruler("corruption", "Does it survive twelve corruptions?", frozenset(), _corrupted, _robust,
              title=lambda name, severity: name.replace("_", " ") if severity == SEVERITIES[1] else None),
        Ruler("sparsity", "Does its implicit background cover much?", frozenset({"maps"}), inside=_sparse),
    )
}  # fmt: skip
# the one number of each ruler, for tables: measure, condition, factor, unit
HEADLINES = {
    "accuracy": [("accuracy", "", 100, "%"), ("ECE", "", 100, "points")],
    "variants": [("BG-gap", "", 100, "points")],
    "adversarial": [("fooled", f"within {BACKGROUNDS} backgrounds", 100, "%")],
    "noise": [("RFS, own minus shuffled masks", "sigma", 1, ""), ("RFS, own minus shuffled masks", "l2", 1, "")],
    "alignment": [("average precision gained", "over centred Gaussian", 1, "")],
    "attributes": [("attribute loss", "", 100, "points")],
    "erasing": [("accuracy lost", "all", 100, "points"), ("consistency", "all", 100, "%")],
    "corruption": [("accuracy lost", "all", 100, "points"), ("consistency", "all", 100, "%")],
    "sparsity": [("sparsity", "", 1, "")],
}


def chosen_rulers(names: tuple[str, ...]) -> list[Ruler]:
    """Rulers by name, in their order; all without names. Raises GazebookError."""
    for name in names:
        check_known("ruler", name, RULERS)
    return [ruler for name, ruler in RULERS.items() if not names or name in names]
