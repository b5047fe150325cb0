"""The reranker: reads a question and a passage together, and says how likely the passage answers."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from langchain_core.cross_encoders import BaseCrossEncoder
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.special import logsumexp

from helpers.models import ModelError, embedder_folder
from helpers.paths import RERANKER

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

SEARCHED = 8
BATCH = 64
KEPT = 20_000
LAYERS, HEAD, CALIBRATION = "layers.safetensors", "head.safetensors", "calibration.json"


class Calibration(NamedTuple):
    """How a cross-encoder's number and the embedder's similarity become one logit: each times its weight, plus the bias."""

    score_weight: float = 1.0
    similarity_weight: float = 0.0
    bias: float = 0.0


class Reranker(BaseCrossEncoder):
    """A cross-encoder as LangChain knows it, and how its scores join the embedder's.

    An embedder compares two vectors that were made apart; a cross-encoder reads both texts
    in one pass, which tells more and takes longer (Nogueira and Cho 2019, arXiv 1901.04085).
    So the index brings a few passages, and only those are read again.

    Args:
        encoder: the network; it gives one number for a pair of texts.
        calibration: what makes a logit of 0 mean: as likely as that no passage answers.
    """

    def __init__(self, encoder: "CrossEncoder", calibration: Calibration = Calibration()) -> None:
        self.encoder, self.calibration = encoder, calibration
        self._kept: dict[tuple[str, str], float] = {}

    def score(self, text_pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return a number for each pair of question and passage; the higher, the rather the passage answers.

        Two bots that answer the same tickets read the same pairs, so the last scores are kept.
        """
        kept = self._kept = self._kept if len(self._kept) < KEPT else {}
        new = [pair for pair in dict.fromkeys(text_pairs) if pair not in kept]
        if new:
            scores = self.encoder.predict(new, batch_size=BATCH, activation_fn=torch.nn.Identity(), show_progress_bar=False)
            kept.update(zip(new, scores.tolist(), strict=True))
        return [kept[pair] for pair in text_pairs]

    def chances(self, scores: Sequence[float], similarities: Sequence[float]) -> np.ndarray:
        """Return for each passage of one question the chance that it is the one that answers.

        A softmax over the passages and one more choice: that none of them answers.

        Args:
            scores: what ``score`` says of each passage.
            similarities: the cosine similarity of each passage and the question.
        """
        weights = self.calibration
        logits = weights.score_weight * np.asarray(scores) + weights.similarity_weight * np.asarray(similarities) + weights.bias
        return np.exp(logits - logsumexp([0.0, *logits]))


def new_cross_encoder(attention: str = "sdpa") -> "CrossEncoder":
    """Return all-MiniLM-L6-v2 with one untrained linear layer on the mean of its outputs: a number for a pair of texts."""
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    trunk = Transformer(str(embedder_folder()), model_kwargs={"attn_implementation": attention})
    width = trunk.get_embedding_dimension()
    head = Dense(width, 1, activation_function=None, module_output_name="scores")
    return CrossEncoder(modules=[trunk, Pooling(width, "mean"), head], device="cpu")


def read_weights(encoder: "CrossEncoder", folder: Path) -> None:
    """Give ``encoder`` the trained layers and the head that are kept in ``folder``."""
    encoder[0].auto_model.encoder.load_state_dict(load_file(folder / LAYERS))
    encoder[-1].load_state_dict(load_file(folder / HEAD))


@lru_cache(maxsize=1)
def load_reranker(folder: Path = RERANKER) -> Reranker:
    """Return the course's reranker (``helpers/base_model/reranking.py`` trains it).

    Raises:
        ModelError: its files are missing or damaged.
    """
    encoder = new_cross_encoder()
    try:
        read_weights(encoder, folder)
        calibration = Calibration(**json.loads((folder / CALIBRATION).read_text(encoding="utf-8")))
        return Reranker(encoder.float().eval(), calibration)
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"The reranker in {folder} cannot be read. Run: git checkout -- data/models") from error
