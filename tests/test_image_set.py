"""Fractions are class-balanced, nested and seeded."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazebook.data import ImageSet
from gazebook.errors import GazebookError


def make(labels) -> ImageSet:
    labels = torch.tensor(labels)
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()
    return ImageSet(
        "toy", "train", images, labels, ("a", "b", "c"), "made", boxes=torch.zeros(len(labels), 4, dtype=torch.int64)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=80), st.integers(0, 5))
def test_every_prefix_of_the_order_is_as_balanced_as_can_be(labels, seed):
    data = make(labels)
    order = data.balanced_order(seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    available = torch.bincount(data.labels, minlength=3)
    for n in range(1, len(labels) + 1):
        counts = torch.bincount(data.labels[order[:n]], minlength=3)
        short = counts < available  # classes that could have given more
        if short.any():
            assert int(counts.max()) - int(counts[short].min()) <= 1


def test_fractions_are_nested_and_depend_on_the_seed():
    data = make([i % 3 for i in range(90)])
    parts = [set(data.fraction(f, 3).images[:, 0, 0, 0].tolist()) for f in (0.1, 0.3, 0.5, 1.0)]
    assert [len(p) for p in parts] == [9, 27, 45, 90]
    assert parts[0] < parts[1] < parts[2] < parts[3]
    assert parts[0] != set(data.fraction(0.1, 4).images[:, 0, 0, 0].tolist())
    assert data.fraction(0.5, 3, of=30).images.shape[0] == 15
    assert data.fraction(0.1, 3).boxes.shape == (9, 4)


def test_impossible_fractions_are_refused():
    data = make([0, 1, 2])
    for share, of in ((0.0, None), (1.5, None), (0.1, None), (1.0, 5)):
        with pytest.raises(GazebookError):
            data.fraction(share, 0, of)


def test_the_fingerprint_sees_pixels_labels_and_shape():
    data = make([0, 1, 2, 0])
    prints = {data.fingerprint, make([0, 1, 2, 1]).fingerprint, data.select(torch.tensor([1, 0, 2, 3])).fingerprint}
    assert len(prints) == 3 and data.fingerprint == make([0, 1, 2, 0]).fingerprint
