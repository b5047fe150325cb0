"""What the embedder says that a text means: targets for the layers of the base model.

While it trains, the model's middle layers also learn to reproduce the embedder's
vector of each question and passage. A small model sees far too few texts to find
out by itself that "money back" and "refund" belong together; the embedder knows
it from a billion pairs. This is distillation (Hinton et al. 2015, arXiv
1503.02531; for sentence vectors Reimers and Gurevych 2020, arXiv 2004.09813).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WIDTH = 384
NO_MEANING = -1


def key_of(texts: Sequence[str]) -> str:
    """Return the name under which something that was computed from ``texts`` is kept."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:20]


class Meanings:
    """Sentence vectors by row number; each added list of texts is embedded once and kept in ``cache``."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.size = 0
        self._parts: list[np.ndarray] = []
        self._embedder = None

    def add(self, texts: Sequence[str]) -> int:
        """Embed ``texts`` and return the row number of the first one."""
        file = self.cache / f"{key_of(texts)}.npy"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part.npy")
            np.save(part, self._embedded(texts).astype(np.float16))
            part.replace(file)
        self._parts.append(np.load(file))
        first, self.size = self.size, self.size + len(texts)
        return first

    def rows(self, first: int, last: int) -> np.ndarray:
        """Return rows ``first`` to ``last`` (excluded) as (rows x 384), single precision, length about 1."""
        return self.table()[first:last].astype(np.float32)

    def table(self) -> np.ndarray:
        """Return all rows as one (rows x 384) array, half precision."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0] if self._parts else np.zeros((0, WIDTH), np.float16)

    def _embedded(self, texts: Sequence[str]) -> np.ndarray:
        from helpers.models import published_embedder

        self._embedder = self._embedder or published_embedder()
        return np.array(self._embedder.embed_documents(list(texts)))
