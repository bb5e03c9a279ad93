"""The augmentations follow torchvision's distributions: compared over many draws, by where landmarks go."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torchvision.transforms import v2

from gazebook.images.augment import AUGMENTATIONS, color, combined, crop, flip, perspective, rotate

DRAWS = 3000
SIZE = 32

# The reference: torchvision's transforms with the study's magnitudes, one image at a time through Pillow.
REFERENCE = {
    "crop": v2.RandomCrop(SIZE, padding=8),
    "flip": v2.RandomHorizontalFlip(),
    "rotate": v2.RandomRotation(15),
    "perspective": v2.RandomPerspective(),
    "color": v2.ColorJitter(0.3, 0.3, 0.3, 0.1),
}
REFERENCE["combined"] = v2.Compose([REFERENCE[n] for n in ("crop", "flip", "rotate", "perspective", "color")])
GEOMETRIC = ("crop", "flip", "rotate", "perspective")


def landmarks() -> torch.Tensor:
    """A black image with a red, a green and a blue 3x3 dot: channel c holds one landmark."""
    image = torch.zeros(3, SIZE, SIZE, dtype=torch.uint8)
    for channel, (y, x) in enumerate([(9, 12), (16, 22), (23, 14)]):
        image[channel, y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def centroids(images: np.ndarray) -> np.ndarray:
    """[N, 3, H, W] -> where each channel's mass is, as y, x, and how much: [N, 9]."""
    weights = images.astype(np.float64)
    mass = weights.sum(axis=(2, 3))
    grid = np.arange(SIZE)
    y = (weights.sum(axis=3) * grid).sum(axis=2) / np.maximum(mass, 1)
    x = (weights.sum(axis=2) * grid).sum(axis=2) / np.maximum(mass, 1)
    return np.concatenate([y, x, mass / 255], axis=1)


def reference(name: str, image: torch.Tensor, draws: int) -> np.ndarray:
    torch.manual_seed(1)
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    return np.stack([np.asarray(REFERENCE[name](picture)).transpose(2, 0, 1) for _ in range(draws)])


def ours(name: str, image: torch.Tensor, draws: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(2)
    return AUGMENTATIONS[name](image.expand(draws, -1, -1, -1).contiguous(), generator).numpy()


def assert_same_distribution(a: np.ndarray, b: np.ndarray, tolerance: float) -> None:
    """Means, deviations and quantiles of each column agree, and a two-sample test sees no difference."""
    for column_a, column_b in zip(a.T, b.T, strict=True):
        scale = max(column_a.std(), column_b.std(), tolerance)
        error = 4 * scale * np.sqrt(2 / len(a))
        assert abs(column_a.mean() - column_b.mean()) < error + tolerance / 4
        assert abs(column_a.std() - column_b.std()) < error + tolerance / 4
        quantiles = np.linspace(0.05, 0.95, 7)
        gap = np.abs(np.quantile(column_a, quantiles) - np.quantile(column_b, quantiles))
        assert gap.max() < tolerance + 0.2 * scale
        rounded = np.round(column_a / tolerance), np.round(column_b / tolerance)
        assert stats.ks_2samp(*rounded, method="asymp").statistic < 0.06


@pytest.mark.parametrize("name", GEOMETRIC)
def test_landmarks_go_where_torchvision_sends_them(name):
    assert_same_distribution(centroids(ours(name, landmarks(), DRAWS)), centroids(reference(name, landmarks(), DRAWS)), 0.5)


def natural() -> torch.Tensor:
    """A smooth coloured image, so that jitter has hue, saturation and contrast to change."""
    y, x = torch.meshgrid(torch.linspace(0, 1, SIZE), torch.linspace(0, 1, SIZE), indexing="ij")
    image = torch.stack([0.2 + 0.6 * x, 0.7 - 0.4 * y * x, 0.3 + 0.3 * torch.sin(5 * y)])
    return (image * 255).to(torch.uint8)


def colour_statistics(images: np.ndarray) -> np.ndarray:
    """Mean and deviation of each channel, and the grey level's deviation: [N, 7]."""
    pixels = images.astype(np.float64)
    return np.concatenate(
        [pixels.mean(axis=(2, 3)), pixels.std(axis=(2, 3)), pixels.mean(axis=1).std(axis=(1, 2))[:, None]], axis=1
    )


@pytest.mark.parametrize("name", ["color", "combined"])
def test_colours_change_as_in_torchvision(name):
    a, b = (colour_statistics(f(name, natural(), DRAWS)) for f in (ours, reference))
    assert_same_distribution(a, b, 2.0)


def test_each_colour_operation_matches_torchvision_for_given_factors():
    from torchvision.transforms.v2 import functional

    from gazebook.images import augment

    image = natural()[None].float() / 255
    pairs = [
        (augment._adjust_brightness, functional.adjust_brightness, (0.7, 1.25)),
        (augment._adjust_contrast, functional.adjust_contrast, (0.75, 1.3)),
        (augment._adjust_saturation, functional.adjust_saturation, (0.7, 1.3)),
        (augment._adjust_hue, functional.adjust_hue, (-0.1, 0.04, 0.1)),
    ]
    for own, peer, factors in pairs:
        for factor in factors:
            result = own(image, torch.tensor(factor).view(1, 1, 1, 1))
            assert torch.allclose(result, peer(image, factor), atol=2e-3), (peer.__name__, factor)


def test_crop_is_an_exact_window_of_the_zero_padded_image():
    image = torch.randint(1, 256, (1, 3, SIZE, SIZE), dtype=torch.uint8)
    padded = torch.nn.functional.pad(image[0], (8, 8, 8, 8))
    windows = {padded[:, y : y + SIZE, x : x + SIZE].numpy().tobytes() for y in range(17) for x in range(17)}
    out = crop(image.expand(200, -1, -1, -1).contiguous(), torch.Generator().manual_seed(0))
    assert {o.numpy().tobytes() for o in out} <= windows


def test_flip_gives_the_image_or_its_mirror_about_half_the_time():
    image = torch.randint(0, 256, (1, 3, SIZE, SIZE), dtype=torch.uint8)
    out = flip(image.expand(1000, -1, -1, -1).contiguous(), torch.Generator().manual_seed(0))
    same = (out == image).flatten(1).all(1)
    mirrored = (out == image.flip(3)).flatten(1).all(1)
    assert bool((same | mirrored).all()) and 430 < int(same.sum()) < 570


def test_samples_of_a_batch_get_their_own_parameters_and_a_seed_repeats_them():
    image = natural().expand(64, -1, -1, -1).contiguous()
    for augmentation in (crop, rotate, perspective, color, combined):
        first = augmentation(image, torch.Generator().manual_seed(5))
        assert len({o.numpy().tobytes() for o in first}) > 16
        assert torch.equal(first, augmentation(image, torch.Generator().manual_seed(5)))
        assert first.dtype == torch.uint8 and first.shape == image.shape


def test_inputs_are_left_alone_and_size_may_differ_by_axis():
    image = torch.randint(0, 256, (5, 3, 24, 40), dtype=torch.uint8)
    for name, augmentation in AUGMENTATIONS.items():
        before = image.clone()
        assert augmentation(image, torch.Generator().manual_seed(0)).shape == image.shape, name
        assert torch.equal(image, before), name
