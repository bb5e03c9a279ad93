"""The lazy search for adversarial backgrounds against brute force."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazebook import data
from gazebook.images import composite
from gazebook.measure import adversarial_backgrounds as adversarial


@pytest.fixture(scope="module")
def scenes():
    return data.load("scenes", "test", images=60)


def hashed(classes):
    """A classifier whose answer depends on the image alone, in no simple way."""
    weight = torch.randint(1, 97, (3 * 32 * 32,), generator=torch.Generator().manual_seed(7))

    def predict(images):
        return (images.flatten(1).long() @ weight) % classes

    return predict


def brute_force(predict, foregrounds, backgrounds):
    """wrong bool [F, B]."""
    return torch.stack([
        predict(composite.compose(foregrounds.images[i], foregrounds.masks[i], backgrounds)) != foregrounds.labels[i]
        for i in range(len(foregrounds))
    ])  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 25), st.integers(1, 40), st.sampled_from([1, 3, 16, 64, 1000]), st.integers(2, 200), st.integers(0, 5))
def test_it_finds_what_brute_force_finds(f, b, batch, classes, seed):
    scenes = data.load("scenes", "test", images=60)
    foregrounds = scenes.select(torch.arange(f))
    backgrounds = composite.tiled(scenes.images, scenes.boxes)[60 - b :]
    predict = hashed(classes)
    # a label that the hash often gives: the answer on the first background
    first = torch.stack([predict(composite.compose(foregrounds.images[i], foregrounds.masks[i], backgrounds[:1]))[0]
                         for i in range(f)])  # fmt: skip
    foregrounds = dataclasses.replace(foregrounds, labels=first)
    wrong = brute_force(predict, foregrounds, backgrounds)
    found = adversarial.search(predict, foregrounds, backgrounds, seed=seed, batch=batch)
    assert torch.equal(found.tries > 0, wrong.any(dim=1))
    assert torch.equal(found.fooled_by >= 0, wrong.any(dim=1))
    for i, (tries, by) in enumerate(zip(found.tries.tolist(), found.fooled_by.tolist(), strict=True)):
        if tries:
            assert wrong[i, by] and tries <= b
        else:
            assert not wrong[i].any()
    assert found.composites <= f * b
    assert found.composites >= int(torch.where(found.tries > 0, found.tries, b).sum())


def test_tries_are_the_place_of_the_first_fooling_background_in_the_foregrounds_own_order(scenes):
    predict, foregrounds = hashed(3), scenes.select(torch.arange(12))
    backgrounds = composite.tiled(scenes.images, scenes.boxes)
    wrong = brute_force(predict, foregrounds, backgrounds)
    found = adversarial.search(predict, foregrounds, backgrounds, seed=4, batch=7)
    generator = torch.Generator().manual_seed(4)
    for i in range(12):
        order = torch.randperm(60, generator=generator)
        hits = wrong[i, order].nonzero()[:, 0]
        assert found.tries[i] == (hits[0] + 1 if len(hits) else 0)
    assert torch.equal(found.tries, adversarial.search(predict, foregrounds, backgrounds, seed=4, batch=500).tries)


def test_a_constant_classifier_is_right_on_its_class_alone(scenes):
    def always(images):
        return torch.zeros(len(images), dtype=torch.int64)

    found = adversarial.search(always, scenes, scenes.images[:10])
    assert torch.equal(found.tries == 0, scenes.labels == 0) and set(found.tries.tolist()) == {0, 1}


def test_strength_counts_the_foregrounds_of_other_classes_that_turn(scenes):
    predict = hashed(10)
    backgrounds, labels = composite.tiled(scenes.images, scenes.boxes)[:15], scenes.labels[:15]
    foregrounds = scenes.select(torch.arange(20, 50))
    found = adversarial.strength(predict, foregrounds, backgrounds, labels, batch=4)
    for b in range(15):
        turned, others = 0, 0
        for i in range(30):
            if foregrounds.labels[i] != labels[b]:
                others += 1
                made = composite.compose(foregrounds.images[i], foregrounds.masks[i], backgrounds[b])
                turned += int(predict(made[None])[0] == labels[b])
        assert found[b] == pytest.approx(turned / others)
