"""The suggested label map, with labels of which a photo shows one only."""

from __future__ import annotations

import numpy as np
import torch

from models.config import Label, LabelSet
from models.device import choose_device
from models.editor import SceneEditor
from models.networks.assembly import Networks
from models.networks.segmenter.segmentation import Segmenter
from tests.helpers import LABEL_SET, LABELS, tiny_config

CONFIG = tiny_config(segmenter=True)


def photo() -> np.ndarray:
    """Smooth patches of many colours."""
    small = np.random.default_rng(3).integers(0, 256, (9, 12, 3), np.uint8)
    return small.repeat(20, 0).repeat(20, 1)


def net() -> Segmenter:
    torch.manual_seed(1)
    assert CONFIG.segmenter is not None
    made = Segmenter(CONFIG.segmenter, LABELS).eval()
    torch.nn.init.normal_(made.head.weight, std=3.0)
    return made


def test_that_of_labels_that_exclude_each_other_the_likelier_one_is_left() -> None:
    plain = net().label_map(photo())
    counts = np.bincount(plain.ravel(), minlength=LABELS)
    first, second = (int(k) for k in np.argsort(-counts)[:2])
    assert counts[second] > 0, "the photo shows both"
    found = net().label_map(photo(), [(first, second)])
    assert (first in found) != (second in found)
    pair = np.isin(plain, (first, second))
    assert np.isin(found[pair], (first, second)).all(), "what was one of the two still is"
    assert (net().label_map(photo(), [(first,)]) == plain).all(), "a group of one changes nothing"


def test_that_the_editor_suggests_by_its_label_set() -> None:
    networks = Networks(CONFIG).eval()
    networks.segmenter = net()
    plain = net().label_map(photo())
    both = [int(k) for k in np.argsort(-np.bincount(plain.ravel(), minlength=LABELS))[:2]]
    labels = tuple(
        Label(label.name, label.color, either="one of two" if k in both else "")
        for k, label in enumerate(LABEL_SET.labels)
    )
    label_set = LabelSet("some", labels)
    assert label_set.exclusive() == (tuple(sorted(both)),) and LABEL_SET.exclusive() == ()
    editor = SceneEditor(networks, label_set, choose_device("cpu"))
    assert (editor.suggest_labels(photo()) == net().label_map(photo(), [sorted(both)])).all()
