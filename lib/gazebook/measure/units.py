"""What a unit of a trunk stands for: three ways to say it, and the truth.

The paper's way of attribution could not be read; these are our own. On the label's side, what a human sees on the images
that excite a unit most: does the attribute appear there? On the side of location: does the unit's activation lie on the
attribute? The truth: how much the unit's activation changes when the attribute alone is removed from the scene.
"""

import numpy as np
import scipy
import torch
import torch.nn.functional as F

from gazebook.data import scenes
from gazebook.measure.attributes import FEW, LEAST
from gazebook.measure.ruler import Measured, Ruler, Trained
from gazebook.train import to_float

TOP = 20  # most exciting images of a unit
BATCH = 250
WAYS = ("top images", "AUROC", "location", "removed")
EVEN = 0.5  # frequency of each attribute where they are drawn independently of one another


def units(trained: Trained) -> Measured:
    """Array units float16 [2, 4, K, A], for scenes as they come and for scenes whose attributes are drawn independently: for
    each unit and attribute the share of TOP images that show it; AUROC of the activation as a detector of it; how much denser
    the activation is on it than elsewhere; and the fall of the activation, in standard deviations, when it is removed. NaN for
    attributes that too few images show. Not for images that cannot be drawn again.
    """
    if trained.test.drawing is None:
        return Measured()
    even = dict.fromkeys(scenes.ATTRIBUTES, EVEN)
    sets = [_scores(trained, {}), _scores(trained, {"attribute_frequencies": even})]
    return Measured(arrays={"units": np.stack(sets).astype(np.float16)})


def _scores(trained: Trained, changed: dict) -> np.ndarray:
    drawing = trained.test.drawing
    rendered = drawing(**changed)
    maps = _activations(trained, rendered.images)
    strength = maps.mean(dim=(2, 3)).numpy()
    spread = np.maximum(strength.std(axis=0), 1e-6)
    shown = rendered.attributes.sum(axis=(2, 3)) >= LEAST
    out = np.full((len(WAYS), strength.shape[1], shown.shape[1]), np.nan)
    top = np.argsort(-strength, axis=0)[:TOP]
    for a, name in enumerate(scenes.ATTRIBUTES):
        there = np.flatnonzero(shown[:, a])
        if FEW <= len(there) <= len(shown) - FEW:
            without = _activations(trained, drawing[there](without=[name], **changed).images).mean(dim=(2, 3)).numpy()
            out[:, :, a] = (
                shown[top, a].mean(axis=0),
                _auroc(strength, shown[:, a]),
                _density(maps[torch.from_numpy(there)], rendered.attributes[there, a]),
                (strength[there] - without).mean(axis=0) / spread,
            )
    return out


@torch.no_grad()
def _activations(trained: Trained, images: np.ndarray) -> torch.Tensor:
    """What the trunk's units see, float [N, K, h, w]; what is below 0, as a transformer's may be, is left out."""
    parts = to_float(torch.from_numpy(images)).split(BATCH)
    return torch.cat([F.relu(trained.model.features(part.to(trained.device)).float()).cpu() for part in parts])


def _auroc(strength: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Area under the curve of each unit, float [K], from the Mann-Whitney statistic."""
    ranks = scipy.stats.rankdata(strength, axis=0)
    yes, no = present.sum(), (~present).sum()
    return (ranks[present].sum(axis=0) - yes * (yes + 1) / 2) / (yes * no)


def _density(maps: torch.Tensor, masks: np.ndarray) -> np.ndarray:
    """Mean over images of the unit's activation on the attribute minus elsewhere, in units of its maximum, float [K]."""
    inside = torch.from_numpy(masks).float()
    total = torch.zeros(maps.shape[1])
    for part in torch.arange(len(maps)).split(50):
        large = F.interpolate(maps[part], masks.shape[-2:], mode="bilinear", align_corners=False)
        large = large / large.amax(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        m = inside[part][:, None]
        total += ((large * m).sum((2, 3)) / m.sum((2, 3)) - (large * (1 - m)).sum((2, 3)) / (1 - m).sum((2, 3))).sum(0)
    return (total / len(maps)).numpy()


UNITS = Ruler(units, ("units",))
