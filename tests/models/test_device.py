"""Which device, how much memory, and what an out-of-memory error looks like."""

from __future__ import annotations

import pytest
import torch

from models.checkpoints.published import published_config
from models.config import Semantics
from models.device import available_memory, choose_device, cpu_has_bf16, estimate_bytes, out_of_memory
from models.errors import DeviceError
from models.request import EditRequest, SamplingSettings
from tests.helpers import box_paint, some_labels, some_photo, tiny_config, tiny_editor

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_that_the_cpu_is_chosen_when_asked_for_and_the_line_says_so() -> None:
    choice = choose_device("cpu")
    assert choice.device.type == "cpu" and not choice.cuda
    assert "CPU" in choice.line and "as asked" in choice.line and "\n" not in choice.line
    assert 0 < choice.free_bytes <= available_memory() * 2


@no_cuda
def test_that_auto_says_why_it_took_the_cpu() -> None:
    assert "no CUDA device found" in choose_device("auto").line


@no_cuda
def test_that_an_absent_cuda_device_is_one_clear_line() -> None:
    with pytest.raises(DeviceError, match="CUDA was asked for, but") as caught:
        choose_device("cuda")
    assert "--device cpu" in str(caught.value) and "\n" not in str(caught.value)


def test_that_an_unknown_device_is_named() -> None:
    with pytest.raises(DeviceError, match="tpu"):
        choose_device("tpu")


def test_that_nothing_is_rounded_to_half_on_the_cpu() -> None:
    with choose_device("cpu").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_that_a_real_allocation_that_fails_is_taken_for_lack_of_memory() -> None:
    """Whatever words this platform's allocator has for it."""
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        torch.empty(2**54, dtype=torch.uint8)
    assert out_of_memory(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate 72057594037927936 bytes. Error code 12 (Cannot allocate memory)"
            ),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
        (KeyboardInterrupt(), False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_that_lack_of_memory_is_told_from_other_errors(error: BaseException, expected: bool) -> None:
    assert out_of_memory(error) == expected


@pytest.mark.parametrize("semantics", list(Semantics))
def test_that_the_estimate_grows_with_candidates_and_resolution(semantics: Semantics) -> None:
    config = tiny_config(semantics)
    assert estimate_bytes(config, 256, 1) < estimate_bytes(config, 256, 4) < estimate_bytes(config, 512, 16)
    assert estimate_bytes(config, 512, 1) > estimate_bytes(config, 256, 1)


def test_that_one_published_edit_at_1024_is_estimated_under_eight_gigabytes() -> None:
    assert 0.5e9 < estimate_bytes(published_config("asset-landscape-1024"), 1024, 1) < 8e9


@pytest.mark.skipif(not cpu_has_bf16(), reason="this processor does not compute in bf16")
def test_that_pictures_in_bf16_look_the_same_and_exact_ones_are_exact() -> None:
    editor = tiny_editor()
    paint = box_paint(260, 280, 100, 110, 150, 170)
    request = EditRequest(some_photo(260, 280), some_labels(260, 280), paint, SamplingSettings(1))
    level = editor.encoder.encode(request, editor._plan(paint, 256).windows[0], 0).low
    half, exact = (editor.pictures.decode(level, level.codes[None], exact=exact) for exact in (False, True))
    plain = editor.networks.first_stage_model.decode(
        editor.networks.first_stage_model.mix(level.codes[None], level.features, level.edit.view(1, 1, 16, 16).float()),
        level.labels,
    )
    assert torch.equal(exact, plain.detach())
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    assert (half - exact).abs().mean() < 0.02 * exact.std()
