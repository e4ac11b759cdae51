"""TAEF2 gives the published network's numbers; the latent decoder starts plain, is told labels, and trains."""

from __future__ import annotations

import numpy as np
import torch
from safetensors.torch import load_file

from models.checkpoints.read import default_checkpoint_folder, load_checkpoint
from models.networks.vqgan.latent_decoder import LatentDecoder
from models.networks.vqgan.taef2 import latent_to_picture
from tests.shared import shared_path


def test_that_pictures_are_the_published_ones() -> None:
    folder = shared_path("parts", "taef2")
    network = latent_to_picture()
    tensors = load_file(str(folder / "taef2_fp16.safetensors"))
    network.load_state_dict(
        {k.removeprefix("decoder."): v.float() for k, v in tensors.items() if k.startswith("decoder.")}
    )
    check = np.load(folder / "check.npz")
    with torch.inference_mode():
        decoded = network(torch.from_numpy(check["latent"])).clamp(0, 1)
    assert np.abs(decoded.numpy() - check["decoded"]).max() < 1e-4


def test_that_the_checkpoint_holds_the_published_decoder() -> None:
    tensors = load_file(str(shared_path("parts", "taef2") / "taef2_fp16.safetensors"))
    ours, prefix = load_checkpoint(default_checkpoint_folder()).tensors, "first_stage_model.decoder.pictures."
    published = {k.removeprefix("decoder."): v for k, v in tensors.items() if k.startswith("decoder.")}
    assert all(torch.equal(ours[prefix + name], value.float()) for name, value in published.items())


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
