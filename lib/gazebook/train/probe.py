"""A linear probe: what a frozen trunk's features can tell."""

import warnings

import numpy as np
import torch

from gazebook.data.image_set import ImageSet
from gazebook.errors import GazebookError
from gazebook.models.pretrained import batch_size
from gazebook.train.fit import to_float

ITERATIONS = 300


@torch.no_grad()
def linear_probe(model: torch.nn.Module, images: ImageSet, device: torch.device | str = "cpu") -> None:
    """Replace the softmax head of a classifier by multinomial logistic regression on its frozen, averaged features.

    The features of the images as they are, in evaluation mode (no BatchNorm statistic is re-estimated), each scaled to
    unit variance; scikit-learn's L2 penalty with C = 1. In place. Raises GazebookError where a class has no image.
    """
    if len(there := images.labels.unique()) != images.num_classes:
        raise GazebookError(f"a probe of {images.num_classes} classes has images of {len(there)}; give it more training images")
    from sklearn.linear_model import LogisticRegression  # takes seconds, and few runs need it

    model.eval()
    batches = images.images.split(batch_size(model, device))
    parts = [model.features(to_float(x.to(device))).float().mean(dim=(2, 3)).cpu() for x in batches]
    features = torch.cat(parts).double().numpy()
    mean, scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged to the last digit
        fitted = LogisticRegression(max_iter=ITERATIONS).fit((features - mean) / scale, images.labels.numpy())
    weight = fitted.coef_ / scale
    rows = [weight, fitted.intercept_ - weight @ mean]
    model.head.maps.weight.copy_(torch.from_numpy(rows[0])[:, :, None, None])
    model.head.maps.bias.copy_(torch.from_numpy(rows[1]))
