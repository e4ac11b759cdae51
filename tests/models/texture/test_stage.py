"""The texture stage: real pixels where they fit, the drawing where they do not, nothing outside the paint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.request import Cancelled
from models.texture.stage import TextureStage
from tests.models.texture.materials import BUILDING, GRASS, ROCK, SKY, detail, exemplar, grassy, scene, smeared

MEADOW = (slice(110, 170), slice(80, 170))
HIGH = (slice(10, 60), slice(60, 150))


def test_that_a_smear_gets_the_detail_of_the_photos_own_label() -> None:
    scenery, painted = scene(MEADOW)
    drawn = smeared(scenery, painted)
    made = TextureStage(scenery).texture(drawn, 1)
    assert made.labels == ("grass",)
    inside = np.zeros(painted.shape, bool)
    inside[115:165, 85:165] = True
    real = np.zeros_like(inside)
    real[180:198, 10:250] = True
    assert detail(drawn.plan, inside) < 1
    assert 0.7 < detail(made.picture, inside) / detail(scenery.photo, real) < 1.3


def test_that_nothing_changes_outside_the_paint() -> None:
    scenery, painted = scene(MEADOW)
    drawn = smeared(scenery, painted)
    made = TextureStage(scenery).texture(drawn, 1)
    assert np.array_equal(made.picture[painted == 255], drawn.plan[painted == 255])
    assert (made.picture != drawn.plan).any()


def test_that_a_seed_gives_the_same_picture_and_others_give_others() -> None:
    scenery, painted = scene(HIGH, ROCK)
    found = (exemplar("rock", grassy(120, 150, 5), "a"), exemplar("rock", grassy(130, 140, 6), "b"))
    pictures = [TextureStage(scenery, found).texture(smeared(scenery, painted), seed).picture for seed in (3, 3, 4, 5)]
    assert np.array_equal(pictures[0], pictures[1])
    assert any(not np.array_equal(pictures[0], other) for other in pictures[2:])


def test_that_exemplars_take_the_colours_of_the_drawing() -> None:
    scenery, painted = scene(HIGH, ROCK)
    grey = grassy(140, 170, 2).mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)
    drawn = smeared(scenery, painted, (140, 90, 70))
    made = TextureStage(scenery, (exemplar("rock", grey),)).texture(drawn, 1)
    assert made.labels == ("rock",)
    inside = painted != 255
    assert np.abs(made.picture[inside].mean(0) - (140, 90, 70)).max() < 16
    assert detail(made.picture, inside) > 10


def test_that_a_sharp_drawing_is_worth_more_than_exemplars() -> None:
    """Other photos help where a drawing is enlarged; asked for by name they are used at any size."""
    scenery, painted = scene(HIGH, ROCK)
    found = (exemplar("rock", grassy(140, 170, 2)),)
    sharp = replace(smeared(scenery, painted, (120, 110, 100)), scale=1.0)
    assert TextureStage(scenery, found).texture(sharp, 1).labels == ()
    assert TextureStage(scenery, found, any_label=True).texture(sharp, 1).labels == ("rock",)
    assert TextureStage(scenery, found).texture(replace(sharp, scale=1.5), 1).labels == ("rock",)


@pytest.mark.parametrize("label", [ROCK, BUILDING])
def test_that_without_material_the_drawing_stays(label: int) -> None:
    scenery, painted = scene(HIGH, label)
    drawn = smeared(scenery, painted, (120, 120, 120))
    made = TextureStage(scenery).texture(drawn, 1)
    assert made.labels == () and made.picture is drawn.plan


def test_that_too_little_material_leaves_the_drawing() -> None:
    scenery, painted = scene(HIGH, ROCK)
    tiny = (exemplar("rock", grassy(20, 24)),)
    assert TextureStage(scenery, tiny).texture(smeared(scenery, painted, (90, 90, 90)), 1).labels == ()


def test_that_the_photos_own_pixels_can_be_left_out() -> None:
    scenery, painted = scene(MEADOW)
    assert TextureStage(scenery, own=False).texture(smeared(scenery, painted), 1).labels == ()


def test_that_what_the_label_map_mistakes_is_not_copied() -> None:
    """A dark thing in the meadow that the map calls grass does not come into the edit."""
    scenery, painted = scene(MEADOW)
    scenery.photo[95:108, 10:40] = (10, 10, 12)
    made = TextureStage(scenery).texture(smeared(scenery, painted), 1)
    inside = made.picture[painted != 255].astype(int)
    assert (np.abs(inside - (10, 10, 12)).max(1) < 8).mean() < 0.002


def test_that_it_stops_between_steps() -> None:
    scenery, painted = scene(MEADOW)

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        TextureStage(scenery).texture(smeared(scenery, painted), 1, stop)


def test_that_a_receding_outline_shows_the_photo_behind() -> None:
    """Where the outline asked for the old label again, the photo is seen, not a drawing of it."""
    scenery, painted = scene(HIGH, GRASS)
    drawn = smeared(scenery, painted, (90, 140, 60))
    asked = drawn.asked.copy()
    rim = np.zeros(asked.shape, bool)
    rim[10:18, 60:150] = True
    asked[rim] = SKY
    share = np.where(rim, 0.5, 1.0).astype(np.float32)
    drawn.plan[rim] = (200, 60, 200)  # a bad drawing of the sky
    stage = TextureStage(scenery, (exemplar("grass", grassy(150, 170, 3)),), own=False, any_label=True)
    made = stage.texture(type(drawn)(drawn.plan, asked, drawn.edited, 0.5, share, painted, drawn.box), 1)
    assert made.labels == ("grass",)
    outermost = made.picture[10, 70:140].astype(int)
    assert (np.abs(outermost - (150, 180, 220)).max(1) < 12).mean() > 0.5
    assert not (np.abs(made.picture[rim].astype(int) - (200, 60, 200)).max(1) < 30).any()
    assert made.share is not None and made.share[rim].min() == 1
