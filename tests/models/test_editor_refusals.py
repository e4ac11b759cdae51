"""What an editor refuses, what it does without SGA, and the labels that it suggests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from models.errors import RequestError
from models.request import NOT_PAINTED, EditRequest, Progress, SamplingSettings
from tests.helpers import LABELS, box_paint, some_labels, some_photo, tiny_config, tiny_editor
from tests.models.edits import (
    check,
    engine,
    request,
    small_request,
)

# --- refusals -----------------------------------------------------------------------------------------------


class Negative:
    """The colours of a photo whose values are those of sRGB, turned round."""

    def convert(self, rgb: np.ndarray) -> np.ndarray:
        return 255 - rgb

    restore = convert


@pytest.mark.parametrize("window", [256, 512])
def test_that_a_photo_of_other_colours_is_drawn_into_as_one_of_srgb(window: int) -> None:
    paint = box_paint(540, 540, 200, 220, 250, 300)
    plain = request(paint, samples=1, window=window)
    other = dataclasses.replace(plain, photo=255 - plain.photo, colors=Negative())
    one, two = next(engine().run(plain)), next(engine().run(other))
    assert np.array_equal(one.tokens, two.tokens)
    before, after = one.apply(plain.photo), two.apply(other.photo)
    assert np.abs(255 - after.astype(int) - before).max() <= 1
    assert np.array_equal(after[paint == NOT_PAINTED], other.photo[paint == NOT_PAINTED])


def test_that_previews_show_what_is_drawn_over_the_sketch_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.drawing.previews.FIRST", 0.0)
    edit = request(box_paint(540, 540, 200, 220, 250, 300), samples=2, window=512)
    steps: list[Progress] = []
    drawn = list(engine().run(edit, None, steps.append, preview_share=1000.0))
    plain = list(engine().run(edit))
    assert all(np.array_equal(a.tokens, b.tokens) for a, b in zip(drawn, plain, strict=True))
    sketch = next(s.previews for s in steps if s.stage == "sketch")
    shown = [s.previews for s in steps if s.stage == "sga" and s.previews]
    assert len(shown) > 1 and all(len(previews) == 2 for previews in shown)
    changed = [int((previews[0].pixels != sketch[0].pixels).any(2).sum()) for previews in shown]
    assert changed == sorted(changed) and 0 < changed[0] < changed[-1]
    unpainted = edit.paint == NOT_PAINTED
    for patch in shown[-1]:
        region = patch.y + np.arange(len(patch.pixels))[:, None], patch.x + np.arange(patch.pixels.shape[1])[None]
        outside = unpainted[region]
        assert np.array_equal(patch.pixels[outside], edit.photo[region][outside])


def test_that_labels_out_of_range_are_refused() -> None:
    edit = small_request(samples=1)
    wrong = np.where(edit.paint == NOT_PAINTED, NOT_PAINTED, LABELS).astype(np.uint8)
    with pytest.raises(RequestError, match=f"paint: label index {LABELS} is unknown.*0 to {LABELS - 1}"):
        list(engine().run(request(wrong, samples=1)))
    labels = edit.labels.copy()
    labels[0, 0] = 200
    with pytest.raises(RequestError, match="label map: label index 200"):
        list(engine().run(EditRequest(edit.photo, labels, edit.paint)))


def refused(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "photo": some_photo(20, 30),
        "labels": some_labels(20, 30),
        "paint": box_paint(20, 30, 1, 1, 5, 5),
    }
    with pytest.raises(RequestError) as caught:
        EditRequest(**(facts | changes))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_that_arrays_that_do_not_fit_are_refused_in_one_line() -> None:
    assert "nothing is painted" in refused(paint=np.full((20, 30), NOT_PAINTED, np.uint8))
    assert "29x20" in refused(paint=box_paint(20, 29, 1, 1, 5, 5))
    assert "label map" in refused(labels=some_labels(19, 30))
    assert "photo" in refused(photo=some_photo(20, 30)[:, :, :2])
    assert "photo" in refused(photo=some_photo(20, 30).astype(np.float32))
    assert "paint" in refused(paint=box_paint(20, 30, 1, 1, 5, 5).astype(np.int64))
    assert "window is 300" in refused(window=300)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("samples", 0),
        ("samples", -3),
        ("keep", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.5),
    ],
)
def test_that_settings_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(RequestError, match=name.replace("_", "-")):
        SamplingSettings(**{name: value})


# --- models without an SGA transformer ----------------------------------------------------------------------


def test_that_a_model_without_sga_draws_with_its_guide() -> None:
    editor = tiny_editor(config=tiny_config(sga=False))
    edit = small_request(samples=2)
    run = editor.run(edit)
    check(editor, edit, list(run))
    assert set(run.seconds) == {"encode", "guide", "decode", "blend"}


@pytest.mark.parametrize("box", [(5, 5, 60, 70), (300, 300, 360, 380)])
def test_that_a_window_larger_than_the_model_draws_is_generated_at_its_size(box: tuple[int, int, int, int]) -> None:
    """Asked for 512 and without SGA, the guide's 256 pixels cover the whole window, or the request is refused."""
    editor = tiny_editor(config=tiny_config(sga=False))
    edit = request(box_paint(700, 600, *box), 512, samples=1)
    try:
        (candidate,) = editor.run(edit)
    except RequestError as error:
        assert "512" in str(error)
        return
    (window,), (codes,) = editor.plan(edit.paint, 512), (w.codes for w in candidate.windows)
    assert codes.shape[0] * 16 == window.resolution
    check(editor, edit, [candidate])


# --- labels -------------------------------------------------------------------------------------------------


def test_that_labels_are_unknown_without_a_segmenter() -> None:
    labels = engine().suggest_labels(some_photo(31, 17))
    assert labels.shape == (31, 17) and labels.dtype == np.uint8 and not labels.any()


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (300, 200), (3, 900), (1300, 40)])
def test_that_suggested_labels_fit_the_photo(size: tuple[int, int]) -> None:
    editor = tiny_editor(config=tiny_config(segmenter=True))
    labels = editor.suggest_labels(some_photo(*size))
    assert labels.shape == size and labels.dtype == np.uint8 and labels.max() < LABELS


def test_that_the_segmenter_follows_the_photo() -> None:
    """Turned upside down, its map must change: it looks at the picture and not only at the place."""
    editor = tiny_editor(config=tiny_config(segmenter=True))
    photo = np.zeros((128, 128, 3), np.uint8)
    photo[:64] = 250
    one, two = editor.suggest_labels(photo), editor.suggest_labels(photo[::-1].copy())
    assert not np.array_equal(one, two)
