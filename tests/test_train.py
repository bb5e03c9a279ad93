"""One fit: reproducible, resumable, honest about failure, and it learns."""

import time
from dataclasses import replace

import pytest
import torch

from gazebook import models
from gazebook.errors import BudgetSpentError, DivergedError, GazebookError
from gazebook.train import Recipe, checkpoint, fit

RECIPE = Recipe(epochs=4, batch_size=32, augmentation="combined", seed=3)


def model(seed=0, head="scribe"):
    torch.manual_seed(seed)
    return models.build("resnet8", 10, head, widths=(8, 8, 8))


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def unbroken(scenes):
    net = model()
    return weights(net), fit(net, scenes, RECIPE, progress=False), weights(net)


def test_the_same_seed_gives_the_same_weights_bit_for_bit(scenes, unbroken):
    again = model()
    history = fit(again, scenes, RECIPE, progress=False)
    assert same(weights(again), unbroken[2])
    assert [h["loss"] for h in history] == [h["loss"] for h in unbroken[1]]


def test_another_seed_gives_other_weights(scenes, unbroken):
    other = model()
    fit(other, scenes, replace(RECIPE, seed=4), progress=False)
    assert not same(weights(other), unbroken[2])


class Interruption(BaseException):
    """Stands in for a kill: nothing in the library may catch it."""


@pytest.mark.parametrize("after", [1, 3])
def test_a_broken_training_resumes_at_its_epoch_and_ends_with_the_same_weights(tmp_path, scenes, unbroken, after):
    file = tmp_path / "run.safetensors"

    def stop(epoch):
        if epoch["epoch"] == after:
            raise Interruption

    with pytest.raises(Interruption):
        fit(model(), scenes, RECIPE, checkpoint_file=file, report=stop, progress=False)
    seen = []
    resumed = model(seed=99)  # its weights come from the checkpoint
    history = fit(resumed, scenes, RECIPE, checkpoint_file=file, report=seen.append, progress=False)
    assert [e["epoch"] for e in seen] == list(range(after + 1, 5))
    assert same(weights(resumed), unbroken[2])
    assert [h["loss"] for h in history] == [h["loss"] for h in unbroken[1]]


def test_a_finished_training_is_not_trained_again(tmp_path, scenes, unbroken):
    file = tmp_path / "run.safetensors"
    fit(model(), scenes, RECIPE, checkpoint_file=file, progress=False)
    seen = []
    again = model(seed=5)
    fit(again, scenes, RECIPE, checkpoint_file=file, report=seen.append, progress=False)
    assert seen == [] and same(weights(again), unbroken[2])


def test_a_deadline_stops_between_epochs_and_keeps_the_checkpoint(tmp_path, scenes, unbroken):
    file = tmp_path / "run.safetensors"
    net = model()
    seen = []

    def slow(epoch):
        seen.append(epoch)
        if len(seen) == 2:
            time.sleep(0.6)

    with pytest.raises(BudgetSpentError, match="goes on from the last checkpoint"):
        fit(
            net,
            scenes,
            RECIPE,
            checkpoint_file=file,
            deadline=time.monotonic() + 0.5 + 2 * _epoch_seconds(unbroken),
            report=slow,
            progress=False,
        )
    assert 1 <= len(seen) < 4 and file.exists()


def _epoch_seconds(unbroken):
    return max(h["seconds"] for h in unbroken[1])


def test_a_damaged_checkpoint_is_named(tmp_path, scenes):
    file = tmp_path / "run.safetensors"
    file.write_bytes(b"broken")
    with pytest.raises(GazebookError, match="damaged or of another model; delete it"):
        fit(model(), scenes, RECIPE, checkpoint_file=file, progress=False)
    checkpoint.save(file, models.build("resnet8", 10, widths=(16, 8, 8)), None, [])
    with pytest.raises(GazebookError, match="damaged or of another model"):
        fit(model(), scenes, RECIPE, checkpoint_file=file, progress=False)


def test_a_loss_that_explodes_stops_with_a_clear_error(scenes):
    with pytest.raises(DivergedError, match=r"epoch 1.*lower lr"):
        fit(model(), scenes, Recipe(epochs=2, batch_size=32, lr=1e30, precision="fp32"), progress=False)


def test_an_unknown_augmentation_is_answered(scenes):
    with pytest.raises(GazebookError, match="unknown augmentation 'mixup'; choose from none"):
        fit(model(), scenes, Recipe(augmentation="mixup"), progress=False)


def test_updates_give_the_length_exactly(scenes):
    history = fit(model(), scenes, Recipe(epochs=None, updates=10, batch_size=32), progress=False)  # 7 updates an epoch
    assert [h["updates"] for h in history] == [7, 10]


def test_the_schedule_is_the_study_s():
    recipe = Recipe(epochs=30)
    total, each = recipe.length(50_000)
    assert (total, each) == (11_730, 391)
    rates = [recipe.lr_at(epoch * each, total) for epoch in range(30)]
    assert rates == pytest.approx([0.05] * 20 + [0.005] * 5 + [0.0005] * 5)


def test_training_equals_plain_sgd_written_out(scenes):
    """No augmentation, fp32: the loop is torch's SGD on the head's loss, in the order of the epoch's generator."""
    recipe = Recipe(epochs=1, batch_size=50, precision="fp32", momentum=0.9, weight_decay=5e-4, lr=0.01)
    ours, plain = model(), model()
    fit(ours, scenes, recipe, progress=False)
    optimizer = torch.optim.SGD(plain.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(200, generator=generator)
    for i, index in enumerate(order.split(50)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(i, 4)
        loss = plain.loss(plain(scenes.images[index].float() / 255), scenes.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, value in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[name], value, atol=2e-4), name


def test_an_intervention_sees_each_batch_after_augmentation_and_can_change_it(scenes, unbroken):
    seen = []

    def look(net, x, labels, generator):
        assert x.shape[1:] == (3, 32, 32) and float(x.min()) >= 0 and float(x.max()) <= 1
        seen.append(len(labels))
        torch.rand(3, generator=generator)  # its own draws do not change the training's
        return x, labels

    net = model()
    fit(net, scenes, RECIPE, intervene=look, progress=False)
    assert sum(seen) == 4 * 200 and same(weights(net), unbroken[2])

    blind = model()
    fit(blind, scenes, RECIPE, intervene=lambda net, x, labels, generator: (torch.zeros_like(x), labels), progress=False)
    assert not same(weights(blind), unbroken[2])


@pytest.mark.parametrize("head", ["softmax", "scribe"])
def test_both_heads_learn_the_scenes(head):
    from gazebook import data

    train, test = (data.load("scenes", s, images=n) for s, n in (("train", 1200), ("test", 300)))
    torch.manual_seed(0)
    net = models.build("resnet8", 10, head)
    fit(net, train, Recipe(epochs=14, batch_size=32), progress=False)
    with torch.no_grad():
        right = net.eval()(test.images.float() / 255).argmax(1) == test.labels
    assert float(right.float().mean()) > 0.55  # chance is .1
