"""What a classifier looks at."""

from gazebook.explain.attention import attention_map, class_hues, colour_mask, resize_maps, segmentation_mask

__all__ = ["attention_map", "class_hues", "colour_mask", "resize_maps", "segmentation_mask"]
