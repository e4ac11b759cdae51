"""TAEF2 gives the published network's numbers; the latent decoder starts plain, is told labels, and trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import CheckpointError
from models.networks.latent_decoder import LatentDecoder
from models.networks.taef2 import load_taef2
from tests.shared import shared_path


def test_that_latents_and_pictures_are_the_published_ones() -> None:
    folder = shared_path("parts", "taef2")
    network = load_taef2(folder / "taef2_fp16.safetensors")
    check = np.load(folder / "check.npz")
    with torch.inference_mode():
        latent = network.encode(torch.from_numpy(check["picture"]))
        decoded = network.decode(torch.from_numpy(check["latent"])).clamp(0, 1)
    assert np.abs(latent.numpy() - check["latent"]).max() < 1e-4
    assert np.abs(decoded.numpy() - check["decoded"]).max() < 1e-4


def test_that_another_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match="not readable as TAEF2"):
        load_taef2(tmp_path / "other.safetensors")


def test_that_latents_have_twice_the_size_and_hints_start_at_nothing() -> None:
    torch.manual_seed(0)
    decoder = LatentDecoder(32, 32, 5, widths=(32, 32), blocks=(2, 2)).eval()
    features, labels = torch.randn(2, 32, 6, 9), torch.rand(2, 5, 24, 36)
    with torch.inference_mode():
        one = decoder(features, labels)
        assert one.shape == (2, 32, 12, 18)
        assert torch.equal(one, decoder(features, torch.zeros_like(labels))), "nothing is heard before training"


def test_that_it_learns_and_hears_labels_and_noise() -> None:
    torch.manual_seed(0)
    decoder = LatentDecoder(8, 4, 3, noise=2, widths=(32, 32), blocks=(2, 2))
    features, target = torch.randn(4, 8, 4, 4), torch.randn(4, 4, 8, 8)
    labels = torch.nn.functional.one_hot(torch.randint(3, (4, 8, 8)), 3).permute(0, 3, 1, 2).float()
    optimiser = torch.optim.Adam(decoder.parameters(), 3e-3)
    errors = []
    for _ in range(60):
        loss = (decoder(features, labels) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert errors[-1] < 0.6 * errors[0]
    noise = torch.zeros(4, 2, 8, 8)
    with torch.inference_mode():
        plain = decoder(features, labels, noise)
        assert not torch.equal(plain, decoder(features, labels.flip(1), noise))
        assert not torch.equal(plain, decoder(features, labels, noise + 1))
        assert torch.equal(plain, decoder(features, labels, noise))
