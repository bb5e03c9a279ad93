"""What do JPEG pixels cost? Four published networks for CIFAR-10 on our copy of its test images, which went through JPEG.

The weights resnet20-12fca82f.th, resnet32-d509ac18.th, resnet44-014dd654.th and resnet56-4bfd9763.th are those of
github.com/akamaster/pytorch_resnet_cifar10 (trained and tested there on the original pixels).

    python benchmarks/jpeg.py FOLDER_WITH_THE_WEIGHTS
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
import typer
from torch import nn

from gazebook import data
from gazebook.train import to_float

PUBLISHED = {20: 91.73, 32: 92.63, 44: 93.10, 56: 93.39}  # test accuracy in percent, from the repository's table
MEAN, STD = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class Block(nn.Module):
    """Two 3x3 convolutions; the shortcut drops every second pixel and pads channels with zeros (He et al. 2016, option A)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.stride, self.pad = outputs // inputs, (outputs - inputs) // 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + F.pad(x[..., :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad)))


class CifarResNet(nn.Module):
    """He et al.'s network of 6n + 2 layers for images of 32 pixels."""

    def __init__(self, depth: int):
        super().__init__()
        n = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        stages = [[Block(i if k == 0 else o, o) for k in range(n)] for i, o in ((16, 16), (16, 32), (32, 64))]
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(*blocks) for blocks in stages)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1((x - MEAN) / STD)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean(dim=(2, 3)))


@torch.no_grad()
def main(weights: Path) -> None:
    """Print a row for each network: accuracy as published, and on our images."""
    test = data.load("cifar10", "test")
    print(f"{test.source}, {len(test):,} images\n\n| network | as published | on our images | lost |\n|---|---|---|---|")
    for depth, published in PUBLISHED.items():
        (file,) = weights.glob(f"resnet{depth}-*.th")
        state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
        model = CifarResNet(depth).eval()
        model.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
        predicted = torch.cat([model(to_float(images)).argmax(1) for images in test.images.split(500)])
        ours = 100 * float((predicted == test.labels).double().mean())
        print(f"| ResNet-{depth} | {published:.1f} | {ours:.1f} | {published - ours:.1f} |")


if __name__ == "__main__":
    typer.run(main)
