"""Weights in files: the digest by which ``python -m helpers check`` knows them, and checkpoints that are never half written."""

import hashlib
from pathlib import Path

import torch


def write_digest(weights: Path) -> str:
    """Write the SHA-256 of ``weights`` to ``sha256.txt`` beside it, and return it."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (weights.parent / "sha256.txt").write_text(digest + "\n", encoding="utf-8")
    return digest


def save_checkpoint(file: Path, state: dict[str, object]) -> None:
    """Write ``state`` under another name first, so that an interruption leaves the last checkpoint whole."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)
