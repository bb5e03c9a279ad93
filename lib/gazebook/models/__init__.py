"""Classifiers with class maps: a trunk, then a head."""

import torch
from torch import nn

from gazebook.errors import GazebookError, check_known
from gazebook.models import pretrained
from gazebook.models.heads import ScribeHead, SoftmaxHead, implicit_background, lse_pool
from gazebook.models.resnet import ResNet8, ResNet18
from gazebook.models.vit import ViT
from gazebook.runs import Run

NORMALISATION = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))  # mean and standard deviation
TRUNKS = {"resnet8": ResNet8, "resnet18": ResNet18, "vit": ViT}
HEADS = {"softmax": SoftmaxHead, "scribe": ScribeHead}
IMAGENET = "imagenet"  # instead of a head: a whole model, pretrained on ImageNet's 1000 classes
PRETRAINED = "pretrained/"  # begins the name of a trunk: a pretrained model without its last layer, for a probe


class Classifier(nn.Module):
    """Images in [0, 1], float [N, 3, H, W] -> image logits [N, C]; `.cam(x)` gives the class maps [N, C, h, w].

    The study's normalisation (paper 1, released notebooks), or a pretrained trunk's own, is part of the model, so that whoever
    holds a model can show it images.
    """

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk, head
        own = (trunk.mean, trunk.std) if isinstance(trunk, pretrained.Trunk) else torch.tensor(NORMALISATION).view(2, 3, 1, 1)
        self.register_buffer("mean", own[0].clone(), persistent=False)
        self.register_buffer("std", own[1].clone(), persistent=False)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What the trunk sees: float [N, 3, H, W] in [0, 1] -> features [N, K, h, w]."""
        return self.trunk((x - self.mean) / self.std)

    def cam(self, x: torch.Tensor) -> torch.Tensor:
        """Class activation maps: float [N, 3, H, W] in [0, 1] -> logits of each class at each place [N, C, h, w]."""
        return self.head.maps(self.features(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Image logits: float [N, 3, H, W] in [0, 1] -> [N, C]."""
        return self.head.pool(self.cam(x))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The head's training loss, a scalar: logits [N, C], labels int64 [N]."""
        return self.head.loss(logits, labels)


def build(name: str, num_classes: int, head: str = "softmax", head_options: dict | None = None, **options) -> nn.Module:
    """A classifier with random weights from torch's global generator; `options` go to the trunk.

    The trunk "pretrained/NAME" is that of a pretrained model. With head "imagenet" it is the whole pretrained model `name`,
    whatever `num_classes`, with 1000 logits (see `pretrained`).
    Raises GazebookError for a name or an option that does not exist.
    """
    if head == IMAGENET:
        return pretrained.load(name)
    if name.startswith(PRETRAINED):
        if unknown := set(options) - {"size"}:
            raise GazebookError(f"a pretrained trunk has the option size alone, not {', '.join(sorted(unknown))}")
    else:
        check_known("trunk", name, TRUNKS)
    check_known("head", head, HEADS)
    try:
        own = pretrained.load(name.removeprefix(PRETRAINED)) if name.startswith(PRETRAINED) else None
        trunk = TRUNKS[name](**options) if own is None else pretrained.Trunk(own, **options)
        return Classifier(trunk, HEADS[head](trunk.channels, num_classes, **(head_options or {})))
    except TypeError as error:
        raise GazebookError(f"cannot build {name} with head {head}: {error}; see gazebook.models") from error


def initial_model(run: Run, num_classes: int, seed: int | None = None) -> nn.Module:
    """The untrained model of a run; its weights depend on the run's seed, or another one, not on torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed if seed is None else seed)
        return build(run.trunk, num_classes, run.head, run.head_options, **run.trunk_options)
