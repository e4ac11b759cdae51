"""From a checkpoint to an engine on a device."""

from __future__ import annotations

from pathlib import Path

from .checkpoints.read import Checkpoint, default_checkpoint_folder, load_checkpoint
from .device import DeviceChoice, choose_device
from .editor import SceneEditor
from .errors import CheckpointError
from .networks.assembly import empty_networks


def open_editor(checkpoint: Path | None = None, device: str = "auto") -> SceneEditor:
    """Load a checkpoint (the default one when None) onto a device; CheckpointError or DeviceError on failure."""
    choice = choose_device(device)
    loaded = load_checkpoint(default_checkpoint_folder() if checkpoint is None else checkpoint)
    return editor_of(loaded, choice)


def editor_of(checkpoint: Checkpoint, device: DeviceChoice) -> SceneEditor:
    known = checkpoint.config.label_vqgan.in_channels
    if len(checkpoint.label_set) != known:
        raise CheckpointError(
            f"{checkpoint.folder}: the card names {len(checkpoint.label_set)} labels but the networks know {known}; "
            "copy the whole folder again"
        )
    networks = empty_networks(checkpoint.config).load(checkpoint.tensors)
    return SceneEditor(networks, checkpoint.label_set, device, checkpoint.sha256)
