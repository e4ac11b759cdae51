"""The parts of the training steps: codebook upkeep, adversarial losses, perceptual distance, transformer loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.grid import TokenGrid
from models.networks.vqgan.quantize import Codebook
from models.training.losses.discriminator import FeatureDiscriminator, PatchDiscriminator, adaptive_weight, hinge_loss
from models.training.losses.perceptual import load_backbone, perceptual_distance
from models.training.stages import codebook as module
from models.training.stages.codebook import CodebookKeeper
from models.training.stages.transformers import masked_loss, optimiser_for, remask, take
from tests.helpers import CODES, LABELS, tiny_transformer
from tests.shared import shared_path
from tests.training.stages import some_codes


def features(seed: int, count: int = 64) -> torch.Tensor:
    return torch.randn(1, 4, 8, count // 8, generator=torch.Generator().manual_seed(seed)) * 3


# --- codebook -----------------------------------------------------------------------------------------------


def test_that_the_first_steps_run_without_quantisation() -> None:
    book = Codebook(16, 4)
    before = book.embedding.weight.clone()
    drawn, _, loss = CodebookKeeper(book).quantise(features(0), 0)
    assert torch.equal(drawn, features(0)) and loss.isfinite() and torch.equal(book.embedding.weight, before)


def test_that_the_codebook_starts_from_what_the_encoder_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START", 0)
    torch.manual_seed(0)
    book = Codebook(16, 4)
    keeper = CodebookKeeper(book)
    drawn, tokens, _ = keeper.quantise(features(0), 0)
    assert float(keeper.started) == 1 and len(tokens.unique()) > 8  # a random start would use one or two
    flat = features(0).permute(0, 2, 3, 1).reshape(-1, 4)
    assert (drawn - features(0)).abs().mean() < 0.7 * flat.abs().mean()


def test_that_codes_follow_their_features_and_dead_ones_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START", 0)
    torch.manual_seed(0)
    book = Codebook(8, 2)
    keeper = CodebookKeeper(book)
    centres = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [5.0, -5.0]])
    cloud = torch.cat([c + 0.1 * torch.randn(20, 2) for c in centres]).t().reshape(1, 2, 6, 10)
    keeper.quantise(cloud, 0)
    with torch.no_grad():
        book.embedding.weight[7] = 1000.0  # a code that nothing is near to
        keeper.sums[7], keeper.usage[7] = 1000.0, 0.019
    for step in range(300):
        keeper.quantise(cloud, step)
    gaps = torch.cdist(centres, book.embedding.weight).min(1).values
    assert gaps.max() < 0.2
    assert torch.cdist(book.embedding.weight[7:], centres).min() < 1
    assert not book.embedding.weight.requires_grad


def test_that_the_commitment_pulls_features_towards_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START", 0)
    torch.manual_seed(0)
    keeper = CodebookKeeper(Codebook(4, 4))
    x = features(0).requires_grad_()
    drawn, _, loss = keeper.quantise(x, 0)
    loss.backward()
    assert x.grad is not None
    assert F.cosine_similarity((x - drawn).detach().flatten(), x.grad.flatten(), 0) > 0.5


# --- losses -------------------------------------------------------------------------------------------------


def test_that_the_hinge_loss_is_zero_for_a_sure_judge() -> None:
    assert hinge_loss([torch.tensor([2.0])], [torch.tensor([-2.0])]) == 0
    assert hinge_loss([torch.tensor([0.0])], [torch.tensor([0.0])]) == 1
    assert hinge_loss([torch.tensor([-1.0])], [torch.tensor([-3.0])]) == 1
    assert hinge_loss([torch.tensor([-1.0]), torch.tensor([2.0])], [torch.tensor([-3.0]), torch.tensor([-2.0])]) == 0.5


def test_that_the_adversarial_weight_balances_the_gradients() -> None:
    one, two = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 2.0)
    assert adaptive_weight(one, two).item() == pytest.approx(0.25, rel=1e-4)
    assert adaptive_weight(one, torch.zeros_like(two)).item() <= 1e4


def test_that_the_judge_scores_patches_and_knows_the_labels() -> None:
    torch.manual_seed(0)
    judge = PatchDiscriminator(LABELS)
    picture, labels = torch.randn(2, 3, 64, 64), torch.randint(LABELS, (2, 64, 64))
    (scores,), found = judge([picture], labels)
    assert scores.shape == (2, 1, 8, 8) and len(found) == 4
    with torch.no_grad():
        judge.project.weight.normal_()
    assert not torch.equal(judge([picture], labels)[0][0], judge([picture], (labels + 1) % LABELS)[0][0])


def test_that_the_judge_of_features_scores_every_scale_and_trains_all_but_its_mixing() -> None:
    torch.manual_seed(0)
    judge = FeatureDiscriminator((4, 6, 8), LABELS, width=16)
    seen = [(6 * torch.randn(2, c, n, n)).requires_grad_() for c, n in ((4, 16), (6, 8), (8, 8))]
    labels = torch.randint(LABELS, (2, 64, 64))
    scores, matched = judge(seen, labels)
    assert [tuple(s.shape) for s in scores] == [(2, 1, 16, 16), (2, 1, 8, 8), (2, 1, 8, 8)] and not matched
    scores[0].mean().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in seen), "coarse scales join finer ones"
    fixed = [p for m in (judge.mix, judge.deeper) for p in m.parameters()]
    assert fixed and all(not p.requires_grad and p.grad is None for p in fixed)


def test_that_the_judge_of_features_learns_what_is_blurred() -> None:
    torch.manual_seed(0)
    judge = FeatureDiscriminator((3, 6), LABELS, width=16)
    labels = torch.zeros(8, 32, 32, dtype=torch.long)
    optimiser = torch.optim.Adam(judge.parameters(), 2e-3)
    for _ in range(60):
        sharp = [6 * torch.randn(8, 3, 16, 16), 6 * torch.randn(8, 6, 8, 8)]
        blurred = [F.avg_pool2d(x, 3, 1, 1) for x in sharp]
        loss = hinge_loss(judge(sharp, labels)[0], judge(blurred, labels)[0])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5


def test_that_the_perceptual_distance_grows_with_the_damage() -> None:
    backbone = load_backbone(shared_path("parts", "perceptual", "efficientnet_lite0_fp16.safetensors"))
    rows, columns = np.mgrid[0:96, 0:96] / 96
    picture = torch.tensor(np.stack([np.sin(9 * rows), np.cos(7 * columns), rows * columns]), dtype=torch.float32)[None]
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    distances = [float(perceptual_distance(backbone, picture + s * noise, picture)) for s in (0, 0.05, 0.2, 0.6)]
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances == sorted(distances) and distances[1] > 1e-4


# --- transformers -------------------------------------------------------------------------------------------


def test_that_only_masked_tokens_count_and_the_past_is_the_truth() -> None:
    codes, net, grid = some_codes(3, 256, 0), tiny_transformer(), TokenGrid(16)
    batch = take(codes, np.arange(3), torch.device("cpu"))
    loss = masked_loss(net, batch, grid)
    truth = torch.where(batch["mask"], batch["target"], batch["known"])
    encoded = net.encode(truth.masked_fill(batch["mask"], CODES), batch["condition"], grid)
    logits = net.decode(truth, encoded, grid)[:, :-1]
    likelihood = logits.log_softmax(2).gather(2, truth[:, :, None])[:, :, 0]
    assert loss.item() == pytest.approx(-likelihood[batch["mask"]].mean().item(), rel=1e-5)
    elsewhere = dict(batch, target=torch.where(batch["mask"], batch["target"], (batch["target"] + 1) % CODES))
    assert masked_loss(net, elsewhere, grid).item() == pytest.approx(loss.item(), rel=1e-6)
    hidden = dict(batch, known=torch.where(batch["mask"], (batch["known"] + 1) % CODES, batch["known"]))
    assert masked_loss(net, hidden, grid).item() == pytest.approx(loss.item(), rel=1e-6)


def test_that_another_mask_brings_the_codes_that_fit_it() -> None:
    codes = some_codes(2, 256, 0)
    batch = take(codes, np.arange(2), torch.device("cpu"))
    other = torch.zeros(2, 256, dtype=torch.bool)
    other[0, 5:9] = True
    changed = remask(batch, other, torch.tensor([True, True]))
    assert torch.equal(changed["mask"][0], other[0]) and torch.equal(changed["known"][0], batch["target"][0])
    assert torch.equal(changed["mask"][1], batch["mask"][1])  # an empty mask is not taken over
    assert torch.equal(changed["known"][1], batch["known"][1])
    same = remask(batch, other, torch.tensor([False, False]))
    assert all(torch.equal(same[key], batch[key]) for key in batch)


def test_that_only_linear_weights_decay() -> None:
    net = tiny_transformer()
    decayed, others = optimiser_for(net, 1e-3).param_groups
    assert decayed["weight_decay"] == 0.01 and others["weight_decay"] == 0
    linear = {id(m.weight) for m in net.modules() if isinstance(m, torch.nn.Linear)}
    assert {id(p) for p in decayed["params"]} == linear
    assert len(decayed["params"]) + len(others["params"]) == len(list(net.parameters()))
