"""The digest beside a file of weights, by which ``python -m helpers check`` knows them."""

import hashlib
from pathlib import Path


def write_digest(weights: Path) -> str:
    """Write the SHA-256 of ``weights`` to ``sha256.txt`` beside it, and return it."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (weights.parent / "sha256.txt").write_text(digest + "\n", encoding="utf-8")
    return digest
