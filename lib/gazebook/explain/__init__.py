"""What a classifier looks at."""

from gazebook.explain.attention import attention_map, class_hues, colour_mask, resize_maps, segmentation_mask
from gazebook.explain.saliency import class_weighted_maps, grad_cam, input_gradient
