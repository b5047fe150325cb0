"""Models in files: the digests by which ``python -m helpers check`` knows them, and checkpoints that are never half written."""

import hashlib
from pathlib import Path

import torch

from helpers.paths import DIGESTS, model_files


def write_digests(weights: Path) -> str:
    """Write the SHA-256 of ``weights``, then of the model's other files, to ``DIGESTS`` beside it as ``sha256sum`` does; return the first."""
    files = [weights, *(file for file in model_files(weights.parent) if file != weights)]
    digests = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    lines = [f"{digest}  {name}\n" for name, digest in digests.items()]
    (weights.parent / DIGESTS).write_text("".join(lines), encoding="utf-8", newline="\n")
    return digests[weights.name]


def save_checkpoint(file: Path, state: dict[str, object]) -> None:
    """Write ``state`` under another name first, so that an interruption leaves the last checkpoint whole."""
    part = file.with_suffix(".part")
    torch.save(state, part)
    part.replace(file)
