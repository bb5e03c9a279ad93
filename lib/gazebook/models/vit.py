"""A vision transformer as a trunk: images [N, 3, H, W] -> features of its patches, as a map [N, K, h, w]."""

import torch
from torch import nn

from gazebook.errors import GazebookError
from gazebook.models.layout import Layout, as_maps


class ViT(nn.Module):
    """timm's vision transformer (Dosovitskiy et al. 2021) without a class token: its patches are averaged by the head.

    So its class maps are as exact as a residual net's. `size` is the side of the images, `patch` of a patch, in pixels;
    32 px in patches of 4, or 64 px in patches of 8, give a map of 8 x 8. `drop_path` is the rate of stochastic depth (Huang
    et al. 2016) in the last block, as DeiT has it.
    """

    def __init__(
        self, size: int = 32, patch: int = 4, dim: int = 96, depth: int = 4, heads: int = 3, mlp_ratio: float = 2.0,
        drop_path: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        if size % patch or dim % heads:
            raise GazebookError(f"size {size} is no multiple of patch {patch}, or dim {dim} none of heads {heads}; change them")
        from timm.models.vision_transformer import VisionTransformer  # takes seconds, and residual nets do not need it

        self.blocks = VisionTransformer(
            img_size=size, patch_size=patch, embed_dim=dim, depth=depth, num_heads=heads, mlp_ratio=mlp_ratio,
            drop_path_rate=drop_path, class_token=False, global_pool="avg", fc_norm=False, num_classes=0,
        )  # fmt: skip
        self.channels = dim

    @property
    def cam_layer(self) -> nn.Module:
        """Where Grad-CAM reads the tokens: before the last block's attention (paper 3, the authors' code), for after it the
        tokens of patches no longer say where the evidence lies.
        """
        return self.blocks.blocks[-1].norm1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return as_maps(self.blocks.forward_features(x), x.shape[-2:], Layout(prefix=0))
