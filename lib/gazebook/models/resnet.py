"""Residual trunks for small images: images [N, 3, H, W] -> features [N, K, h, w]."""

import torch
import torch.nn.functional as F
from torch import nn

from gazebook.errors import GazebookError, check_known

STEMS = ("upsampled", "plain")


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016): [N, K_in, H, W] -> [N, K_out, H/stride, W/stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class ResNet8(nn.Module):
    """Three residual blocks behind a stride-2 stem, for CPUs: 32 px -> 16, 8, 8 pixels with strides (1, 2, 1).

    At equal multiply-adds a stride-2 stem is about three times as fast as a narrow net at full resolution: on a CPU the
    traffic of large activations is what is slow. Widths are multiples of 8: with 4 channels torch 2.15 corrupts memory in
    training on CPUs without AVX-512.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), strides: tuple[int, int, int] = (1, 2, 1)):
        super().__init__()
        if any(width % 8 for width in widths):
            raise GazebookError(f"widths are {tuple(widths)}; give multiples of 8: oneDNN's AVX2 kernels fail on others")
        self.conv = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        inputs = (widths[0], *widths[:2])
        self.blocks = nn.Sequential(*(ResidualBlock(i, o, s) for i, o, s in zip(inputs, widths, strides, strict=True)))
        self.channels = widths[-1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(F.relu(self.norm(self.conv(x))))


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with the study's stem (paper 1, released notebooks): a 3x3 stride-1 convolution with bias.

    The first max-pool is replaced by a bilinear upsampling by two (`upsampled`: 32 px -> 64, 32, 16, 8; the study's
    SCrIBE trunk) or removed (`plain`: 32 px -> 32, 16, 8, 4; the study's softmax trunk).
    """

    def __init__(self, stem: str = "upsampled"):
        super().__init__()
        check_known("stem", stem, STEMS, " of resnet18")
        from torchvision.models import resnet18  # takes seconds, and the small trunk does not need it

        net = resnet18(weights=None)
        self.conv = nn.Conv2d(3, 64, 3, 1, 1)
        self.norm = net.bn1
        bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.resize = bilinear if stem == "upsampled" else nn.Identity()
        self.layers = nn.Sequential(net.layer1, net.layer2, net.layer3, net.layer4)
        self.channels = 512

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(self.resize(F.relu(self.norm(self.conv(x)))))
