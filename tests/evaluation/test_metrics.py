"""The figures themselves: known answers, and that they move the right way."""

from __future__ import annotations

import numpy as np
import pytest

from models.config import Label, LabelSet
from models.evaluation.judges import Agreement, Labeller, group_table
from models.evaluation.metrics import Eye, frechet, perceptual, psnr, ssim
from tests.shared import shared_path


def photo(seed: int = 0, side: int = 64) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_psnr_and_ssim_of_known_pictures() -> None:
    grey = np.full((32, 32, 3), 100, np.uint8)
    assert psnr(grey, grey + 5) == pytest.approx(20 * np.log10(255 / 5))
    assert ssim(grey, grey) == pytest.approx(1.0)
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    noisy = [
        np.clip(ramp + np.random.default_rng(1).normal(0, s, ramp.shape), 0, 255).astype(np.uint8) for s in (5, 40)
    ]
    assert 1 > ssim(noisy[0], ramp) > ssim(noisy[1], ramp) > 0


def test_that_the_frechet_distance_is_that_of_two_gaussians() -> None:
    """Of N(0, I) and N(m, s² I), after division by the second's deviations: (m² + (1 - s)²) / s² a channel."""
    rng = np.random.default_rng(0)
    one, two = rng.normal(0, 1, (40_000, 3)), rng.normal(2, 4, (40_000, 3))
    assert frechet(one, two) == pytest.approx(3 * (4 + 9) / 16, rel=0.05)
    assert frechet(two, two) == pytest.approx(0, abs=1e-6)


def test_agreement_counts_only_the_region() -> None:
    asked, shown = np.array([[0, 0, 1, 4]]), np.array([[0, 1, 1, 5]])
    agreement = Agreement()
    assert agreement.add(asked, shown, np.array([[True, True, True, False]])) == pytest.approx(2 / 3)
    assert agreement.accuracy == pytest.approx(2 / 3)
    assert agreement.mean_iou == pytest.approx((1 / 2 + 1 / 2) / 2)  # group 4 was not in the region


def test_that_each_label_has_its_group() -> None:
    names = ("sky", "clouds", "snow", "field", "tree", "sea", "building", "carpet")
    table = group_table(LabelSet("some", tuple(Label(name, (0, 0, 0)) for name in names)))
    assert table.tolist() == [0, 0, 1, 2, 3, 4, 5, 6]


def test_that_the_backbone_tells_pictures_apart() -> None:
    eye = Eye(shared_path("parts", "perceptual", "efficientnet_lite0_fp16.safetensors"))
    same, near, far = (eye.look(p) for p in (photo(), np.clip(photo() // 2 + 60, 0, 255).astype(np.uint8), photo(1)))
    assert perceptual(same, same) == 0
    assert 0 < perceptual(near, same) < perceptual(far, same)
    assert same.statistics.shape == (24 + 40 + 80 + 112 + 192,)


def test_that_the_labeller_sees_what_a_photo_shows() -> None:
    """Its groups agree with the label maps of two of the shared photos in most pixels."""
    pytest.importorskip("ai_edge_litert")
    from PIL import Image

    from models.evaluation.evaluate import LABELLER

    folder = shared_path("data", "photos")
    labeller = Labeller(shared_path("parts", *LABELLER.parts))
    names = ["other", "sky", "clouds", "mountain", "hill", "rock", "snow", "sand", "earth", "grass", "field", "tree",
             "plant", "flower", "river", "lake", "sea", "waterfall", "road", "building"]  # fmt: skip
    table = group_table(LabelSet("landscape-20", tuple(Label(name, (0, 0, 0)) for name in names)))
    for path in sorted(folder.glob("*.jpg"))[:2]:
        picture = Image.open(path).convert("RGB")
        labels = np.asarray(Image.open(path.with_suffix(".png")).resize((512, 512), Image.Resampling.NEAREST))
        shown = labeller.groups(np.asarray(picture.resize((512, 512))))
        assert (shown == table[labels]).mean() > 0.6, path.name


def test_that_the_labellers_statistics_tell_a_blurred_photo_from_a_sharp_one() -> None:
    pytest.importorskip("ai_edge_litert")
    import cv2
    from PIL import Image

    from models.evaluation.evaluate import LABELLER

    photo = next(iter(sorted(shared_path("data", "photos").glob("*.jpg"))))
    labeller = Labeller(shared_path("parts", *LABELLER.parts))
    picture = np.asarray(Image.open(photo).convert("RGB").resize((256, 256)))
    sharp, slight, strong = (
        labeller.statistics(x)
        for x in (picture, cv2.GaussianBlur(picture, (0, 0), 1), cv2.GaussianBlur(picture, (0, 0), 6))
    )
    assert sharp.shape == (64,) and np.array_equal(sharp, labeller.statistics(picture))
    assert 0 < np.abs(slight - sharp).mean() < np.abs(strong - sharp).mean()
