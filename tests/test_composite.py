"""The eight variants, pixel by pixel on hand-made images, and the properties that they must have on any."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazebook import data
from gazebook.data import ImageSet
from gazebook.errors import GazebookError
from gazebook.images import composite
from gazebook.images.masks import grabcut, masks
from tests import tiny_layout as layout

SIZE = 8


def make(images, labels, masks=None, boxes=None, names=("a", "b", "c")) -> ImageSet:
    return ImageSet(
        "toy", "test", torch.as_tensor(images, dtype=torch.uint8), torch.tensor(labels), names, "made",
        masks=None if masks is None else torch.as_tensor(masks), boxes=None if boxes is None else torch.tensor(boxes),
    )  # fmt: skip


@pytest.fixture
def six():
    """Six images of 8 x 8 in three classes: image i has the value 10 (i + 1) + column; the object, at rows 2 to 4 and
    columns 3 to 5, is 200 + i, without its corners in the mask; the box is the whole square.
    """
    images = np.zeros((6, 3, SIZE, SIZE), np.uint8)
    images += (10 * (np.arange(6) + 1))[:, None, None, None].astype(np.uint8) + np.arange(SIZE, dtype=np.uint8)
    mask = np.zeros((6, SIZE, SIZE), bool)
    mask[:, 2:5, 3:6] = True
    mask[:, [2, 2, 4, 4], [3, 5, 3, 5]] = False
    for i in range(6):
        images[i, :, 2:5, 3:6] = 200 + i
    return make(images, [0, 0, 1, 1, 2, 2], mask, [[3, 2, 6, 5]] * 6)


def test_the_simple_variants_pixel_by_pixel(six):
    found = {name: composite.variant(six, name) for name in composite.VARIANTS}
    assert tuple(found) == composite.VARIANTS
    assert found["original"] is six
    image = six.images[1, 0]
    black_box = image.clone()
    black_box[2:5, 3:6] = 0
    assert torch.equal(found["only_bg_b"].images[1, 0], black_box)
    black_object = image.clone()
    black_object[3, 3:6] = 0
    black_object[2:5, 4] = 0
    assert torch.equal(found["no_fg"].images[1, 0], black_object), "the box's corners stay"
    only = torch.zeros_like(image)
    only[3, 3:6] = 201
    only[2:5, 4] = 201
    assert torch.equal(found["only_fg"].images[1, 0], only)
    assert all(torch.equal(s.labels, six.labels) for s in found.values())


def test_the_tile_is_the_wider_strip_of_the_better_orientation_repeated_from_the_corner(six):
    # left strip 3 wide, right 2: 40 pixels of columns; above 2 high, below 3: 40 of rows; columns win a draw, left is wider
    found = composite.tiled(six.images, six.boxes)[0, 0]
    assert found[3].tolist() == [10, 11, 12, 10, 11, 12, 16, 17]
    assert torch.equal(found[[0, 1, 5, 6, 7]], six.images[0, 0, [0, 1, 5, 6, 7]]), "outside the box nothing changes"
    # a box that leaves 1 column at the right and 4 rows below: rows win, the strip below is repeated from row 0
    box = torch.tensor([[0, 0, 7, 4]])
    image = torch.arange(SIZE * SIZE, dtype=torch.uint8).view(1, 1, SIZE, SIZE).expand(1, 3, -1, -1)
    found = composite.tiled(image, box)[0, 0]
    assert torch.equal(found[:4, :7], image[0, 0, 4:, :7]) and torch.equal(found[:, 7], image[0, 0, :, 7])
    # only a strip at the right, 3 wide: repeated from column 0, so column 3 shows the first of the strip again
    found = composite.tiled(image, torch.tensor([[0, 0, 5, 8]]))[0, 0]
    assert found[0].tolist() == [5, 6, 7, 5, 6, 5, 6, 7]


@pytest.mark.parametrize(("box", "same"), [([-3, -2, 3, 3], [0, 0, 3, 3]), ([5, 6, 12, 9], [5, 6, 8, 8]), ([3, 3, 3, 6], None)])
def test_boxes_that_leave_the_picture_are_clipped_and_empty_ones_change_nothing(six, box, same):
    found = composite.tiled(six.images[:1], torch.tensor([box]))
    expected = composite.tiled(six.images[:1], torch.tensor([same])) if same else six.images[:1]
    assert torch.equal(found, expected)


def test_a_box_that_covers_its_picture_has_no_background(six):
    boxes = six.boxes.clone()
    boxes[4] = torch.tensor([-1, 0, 9, 8])
    with pytest.raises(GazebookError, match="box of image 4 covers it"):
        composite.tiled(six.images, boxes)


def test_composites_are_foreground_where_the_mask_is_and_tiled_background_elsewhere(six):
    behind = composite.tiled(six.images, six.boxes)
    for name in composite.MIXED:
        found = composite.variant(six, name, seed=3)
        partner = composite.partners(six.labels, name, 3, seed=3)
        for i, j in enumerate(partner.tolist()):
            inside = six.masks[i]
            assert torch.equal(found.images[i][:, inside], six.images[i][:, inside])
            assert torch.equal(found.images[i][:, ~inside], behind[j][:, ~inside])
        assert torch.equal(found.backgrounds, six.labels[partner]) and found.background_names == six.class_names


def test_a_black_object_on_white_keeps_its_pixels():
    images = np.full((4, 3, SIZE, SIZE), 255, np.uint8)
    mask = np.zeros((4, SIZE, SIZE), bool)
    mask[:, 2:6, 2:6] = True
    images[:, :, 2:6, 2:6] = 0
    toy = make(images, [0, 0, 1, 1], mask, [[2, 2, 6, 6]] * 4, ("a", "b"))
    for name in composite.MIXED:
        found = composite.variant(toy, name).images
        assert (found[:, :, 2:6, 2:6] == 0).all() and (found[:, :, :2] == 255).all()
    assert (composite.variant(toy, "only_bg_t").images == 255).all()


def test_empty_and_full_masks(six):
    empty = make(six.images, six.labels.tolist(), torch.zeros_like(six.masks), six.boxes.tolist())
    assert (composite.variant(empty, "only_fg").images == 0).all()
    assert torch.equal(composite.variant(empty, "no_fg").images, six.images)
    full = make(six.images, six.labels.tolist(), torch.ones_like(six.masks), six.boxes.tolist())
    assert torch.equal(composite.variant(full, "mixed_rand").images, six.images)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=0, max_size=30), st.integers(0, 20))
def test_partners_are_of_the_right_class_and_never_oneself(labels, seed):
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, *labels])
    own = torch.arange(len(labels))
    for name in composite.MIXED:
        found = composite.partners(labels, name, 4, seed)
        assert (found != own).all() and torch.equal(found, composite.partners(labels, name, 4, seed))
        if name == "mixed_same":
            assert torch.equal(labels[found], labels)
        if name == "mixed_next":
            assert torch.equal(labels[found], (labels + 1) % 4)


def test_random_classes_are_uniform_and_so_are_pictures_within_them():
    labels = torch.arange(3).repeat_interleave(torch.tensor([400, 1200, 2000]))
    found = composite.partners(labels, "mixed_rand", 3, seed=0)
    share = torch.bincount(labels[found], minlength=3) / len(labels)
    assert torch.allclose(share, torch.full((3,), 1 / 3), atol=0.03), "uniform over classes, not over pictures"
    same = composite.partners(labels[:400], "mixed_same", 1, seed=0)
    assert torch.bincount(same, minlength=400).max() <= 8 and same.unique().numel() > 230


def test_partners_and_tiled_backgrounds_make_each_composite_bit_for_bit():
    scenes = data.load("scenes", "test", images=80)
    behind = composite.tiled(scenes.images, scenes.boxes)
    for name in composite.MIXED:
        partner = composite.partners(scenes.labels, name, scenes.num_classes, seed=5)
        found = composite.variant(scenes, name, seed=5)
        assert torch.equal(found.images, torch.where(scenes.masks[:, None], scenes.images, behind[partner]))
        assert torch.equal(found.backgrounds, scenes.labels[partner])


def test_what_cannot_be_made_is_refused(six):
    with pytest.raises(GazebookError, match="unknown variant 'mixed'; choose from original"):
        composite.variant(six, "mixed")
    with pytest.raises(GazebookError, match="variant no_fg needs masks, and made has none"):
        composite.variant(make(six.images, [0] * 6, boxes=six.boxes.tolist()), "no_fg")
    with pytest.raises(GazebookError, match="variant only_bg_t needs boxes"):
        composite.variant(make(six.images, [0] * 6, masks=six.masks), "only_bg_t")
    for name, labels in (("mixed_same", [0, 0, 1, 1, 2, 0]), ("mixed_next", [0, 0, 0, 2, 2, 2])):
        with pytest.raises(GazebookError, match=f"{name} needs two images or more of each of the 3 classes"):
            composite.partners(torch.tensor(labels), name, 3)


# masks


def test_grabcut_finds_a_disc_in_its_box_and_is_seeded():
    box = (10, 12, 50, 52)
    image = layout.picture(7, box)
    found = grabcut(image, box, seed=1)
    disc = np.hypot(*(np.mgrid[:64, :64] - np.array([31.5, 29.5])[:, None, None])) <= 20
    assert (found & disc).sum() / (found | disc).sum() > 0.95
    assert np.array_equal(found, grabcut(image, box, seed=1))


@pytest.mark.parametrize("box", [(0, 0, 64, 64), (-5, -5, 80, 80), (70, 70, 90, 90), (20, 20, 20, 40)])
def test_boxes_that_cover_or_miss_the_picture_give_an_empty_mask(box):
    assert not grabcut(layout.picture(1, (10, 10, 40, 40)), box).any()


def test_a_box_that_touches_the_border_is_cut():
    image = layout.picture(3, (0, 0, 40, 64))
    found = grabcut(image, (0, 0, 40, 64))
    assert 0.5 < found[:, :40].mean() < 0.95 and not found[:, 40:].any()


def test_masks_do_not_depend_on_the_number_of_processes():
    boxes = np.array([layout.box_of(i) for i in range(210)])
    images = np.stack([layout.picture(i, tuple(box)) for i, box in enumerate(boxes)])
    one, two = (masks(images, boxes, processes=n) for n in (1, 2))
    assert np.array_equal(one, two)
    with pytest.raises(GazebookError, match="unknown mask procedure"):
        masks(images, boxes, "circle")
