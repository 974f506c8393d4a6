import numpy as np
import pytest

from rar_tf.datasets import BalancedSplit, Split, Warp, augment, equalize, training_batches

STILL = Warp(rotation=0.0, translation=0.0, projection=0.0)


def equalized_plane(plane):
    """The textbook formula, one level at a time."""
    levels, counts = np.unique(plane, return_counts=True)
    if len(levels) == 1:
        return plane
    cdf = np.cumsum(counts)
    out = np.empty_like(plane)
    for level, below in zip(levels, cdf, strict=True):
        share = (below - cdf[0]) / (plane.size - cdf[0])
        out[plane == level] = np.round(np.float32(255 * share))
    return out


def test_equalize_agrees_with_the_formula_on_each_channel():
    rng = np.random.default_rng(0)
    images = (rng.normal(size=(3, 9, 7, 2)) * 20 + 90).astype(np.uint8)
    images[1, :, :, 1] = 40
    result = equalize(images).numpy()
    for i in range(3):
        for c in range(2):
            np.testing.assert_array_equal(result[i, :, :, c], equalized_plane(images[i, :, :, c]))


def test_equalize_known_numbers():
    image = np.array([[10, 10], [20, 30]], np.uint8).reshape(1, 2, 2, 1)
    assert equalize(image).numpy().ravel().tolist() == [0, 0, 128, 255]
    all_levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(equalize(all_levels), all_levels)


def corners_of(height, width):
    right, bottom = width - 1, height - 1
    return np.array([[[0, 0], [right, 0], [0, bottom], [right, bottom]]], np.float32)


def test_warp_by_whole_pixels_shifts_and_fills_with_black():
    image = np.arange(1, 31, dtype=np.uint8).reshape(1, 5, 6, 1)
    moved = augment.warp(image, corners_of(5, 6) + np.float32([2, 1])).numpy()
    expected = np.zeros_like(image)
    expected[:, 1:, 2:] = image[:, :-1, :-2]
    np.testing.assert_array_equal(moved, expected)


def test_warp_by_exchanged_corners_mirrors():
    image = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
    mirrored = augment.warp(image, corners_of(5, 5)[:, [1, 0, 3, 2]]).numpy()
    np.testing.assert_array_equal(mirrored, image[:, :, ::-1])


def test_a_quarter_turn_of_the_drawn_corners():
    limits = Warp(rotation=90.0, translation=0.0, projection=0.0)
    turned = augment.draw_corners(np.arange(500), 5, 5, limits, seed=0)
    radii = np.linalg.norm(turned - 2, axis=-1)
    np.testing.assert_allclose(radii, np.sqrt(8), rtol=1e-6)
    angles = np.degrees(np.arctan2(*(turned - 2)[:, 3, ::-1].T)) - 45
    assert -90 <= angles.min() < -85 and 85 < angles.max() <= 90


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (Warp(rotation=0.0, translation=0.25, projection=0.0), 8.0),
        (Warp(rotation=0.0, translation=0.0, projection=0.125), 4.0),
    ],
)
def test_corners_move_up_to_the_limit_and_no_further(limits, most):
    moves = augment.draw_corners(np.arange(2000), 32, 32, limits, seed=1) - corners_of(32, 32)
    assert 0.98 * most < np.abs(moves).max() <= most
    assert np.abs(moves.mean(axis=0)).max() < 0.1 * most
    if limits.translation:
        assert np.ptp(moves, axis=1).max() < 1e-5


def test_uniform_draws_are_a_function_of_seed_and_index():
    full = augment._uniform(np.arange(1000), 11, seed=3)
    np.testing.assert_array_equal(full[[7, 900]], augment._uniform(np.array([7, 900]), 11, seed=3))
    assert (full != augment._uniform(np.arange(1000), 11, seed=4)).any(axis=1).all()
    assert 0 <= full.min() and full.max() < 1
    np.testing.assert_allclose(full.mean(axis=0), 0.5, atol=0.05)
    np.testing.assert_allclose(full.var(axis=0), 1 / 12, atol=0.01)
    off_diagonal = np.corrcoef(full.T) - np.eye(11)
    assert np.abs(off_diagonal).max() < 0.15


def source():
    rng = np.random.default_rng(0)
    labels = np.array([1, 0, 1, 1, 2], np.int32)
    return Split(rng.integers(0, 256, (5, 8, 8, 3), np.uint8), labels)


def test_a_balanced_split_holds_each_image_unchanged_and_then_copies_in_turn():
    plain = source()
    split = BalancedSplit(plain, per_class=7, seed=0, limits=STILL)
    images, labels = split.read(np.arange(len(split)))
    assert labels.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    expected = [1] * 7 + [0, 2, 3, 0, 2, 3, 0] + [4] * 7
    np.testing.assert_array_equal(images, plain.images[expected])


def test_copies_are_warped_each_in_its_own_way_and_the_source_is_left_alone():
    plain = source()
    before = plain.images.copy()
    split = BalancedSplit(plain, per_class=4, seed=0)
    images, _ = split.read(np.arange(4))
    np.testing.assert_array_equal(images[0], plain.images[1])
    assert len({image.tobytes() for image in images}) == 4
    np.testing.assert_array_equal(plain.images, before)


def test_an_example_does_not_depend_on_its_neighbours_in_the_batch():
    split = BalancedSplit(source(), per_class=10, seed=2, equalized=True)
    together, _ = split.read(np.arange(30))
    for index in (0, 5, 19, 29):
        alone, _ = split.read(np.array([index]))
        np.testing.assert_array_equal(alone[0], together[index])
    other, _ = BalancedSplit(source(), per_class=10, seed=3, equalized=True).read(np.arange(30))
    assert (other[5] != together[5]).any()


def test_equalization_comes_after_the_warp_and_on_unchanged_images_too():
    plain = source()
    equalized, _ = BalancedSplit(plain, per_class=5, seed=0, equalized=True).read(np.arange(15))
    warped, _ = BalancedSplit(plain, per_class=5, seed=0).read(np.arange(15))
    np.testing.assert_array_equal(equalized, equalize(warped).numpy())


def test_resuming_a_balanced_run():
    split = BalancedSplit(source(), per_class=6, seed=0, equalized=True)
    full = list(training_batches(split, batch_size=4, seed=1, steps=9))
    tail = list(training_batches(split, batch_size=4, seed=1, steps=4, first_step=5))
    for (x, y), (x_again, y_again) in zip(full[5:], tail, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)


def test_an_epoch_of_a_balanced_split_is_balanced():
    split = BalancedSplit(source(), per_class=8, seed=0)
    labels = [y.numpy() for _, y in training_batches(split, batch_size=6, seed=0, steps=4)]
    assert np.bincount(np.concatenate(labels)).tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    ("labels", "received"), [([0, 0, 2], "0 to 2"), ([0, 1, 1, 1], "1 to 3"), ([], "0 to 0")]
)
def test_a_class_that_is_empty_or_too_large(labels, received):
    split = Split(np.zeros((len(labels), 4, 4, 1), np.uint8), np.array(labels, np.int32))
    with pytest.raises(ValueError, match=rf"1 \.\. per_class=2 examples\. Received: {received}"):
        BalancedSplit(split, per_class=2, seed=0)
