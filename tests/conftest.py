"""Shared by all tests: the suite touches no user's folders, and one thread a process keeps two cores busy with two."""

import os

import pytest
import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")

from gazebook import data
from gazebook.runs import Run


@pytest.fixture(scope="session")
def scenes():
    """A small training set of scenes."""
    return data.load("scenes", "train", images=200)


@pytest.fixture
def tiny():
    """A run that takes a second: a few scenes, one epoch."""
    return Run(
        study="scribe",
        train_images=60,
        test_images=60,
        data_options={"images": 120},
        epochs=1,
        batch_size=20,
        trunk_options={"widths": [4, 4, 8]},
    )
