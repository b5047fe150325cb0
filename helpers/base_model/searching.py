"""What the course's own search shows for questions about companies that neither its embedder's adapter nor its reranker has met."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from helpers.base_model import companies as companies_module
from helpers.base_model.companies import Company, Found
from helpers.base_model.meaning import key_of
from helpers.bots import LEAST_SCORE, LEAST_SHARE, PASSAGES, SURE_SCORE, is_sure, likely
from helpers.knowledge import PassageEmbeddings
from helpers.models import load_embedder
from helpers.paths import DIGESTS, RERANKER, RETRIEVAL_ADAPTER, ROOT, write_whole
from helpers.reranker import SEARCHED, Reranker, load_reranker

SEARCHES = ROOT / ".cache" / "searches"


class Candidate(NamedTuple):
    """A sentence's number, and the chance that it is the one that answers."""

    number: int
    score: float


def similarities(in_context: Sequence[str], questions: Sequence[str]) -> np.ndarray:
    """Return the (questions x passages) cosine similarities by which the index finds."""
    embedder = load_embedder()
    return np.array(embedder.embed_documents(list(questions))) @ np.array(PassageEmbeddings(embedder).embed_documents(list(in_context))).T


def judge(reranker: Reranker, in_context: Sequence[str], questions: Sequence[str], likeness: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the numbers of the passages nearest to each question, what ``reranker`` says of them, and their similarities (each questions x passages)."""
    nearest = np.argsort(-likeness, axis=1)[:, :SEARCHED]
    scores = reranker.score([(question, in_context[number]) for question, row in zip(questions, nearest, strict=True) for number in row])
    return nearest, np.reshape(scores, nearest.shape), np.take_along_axis(likeness, nearest, 1)


def search(companies: list[Company], cache: Path = SEARCHES) -> None:
    """Give each question its ranking, and each question and near miss what the search shows for it; kept in ``cache``, a file a company."""
    search_now = [str((LEAST_SCORE, LEAST_SHARE, SURE_SCORE)), *((folder / DIGESTS).read_text(encoding="utf-8") for folder in (RERANKER, RETRIEVAL_ADAPTER))]
    for company in companies:
        texts = companies_module.texts_of(company)
        file = cache / f"{key_of([*texts.all(), *texts.near_misses, *search_now])}.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps(_search(texts.in_context, [*texts.questions, *texts.near_misses])))
        results = json.loads(file.read_text(encoding="utf-8"))
        for one, (_, shown, sure) in zip([*company.questions, *company.near_misses], results, strict=True):
            one.found = Found(tuple(shown), sure)
        for question, (nearest, _, _) in zip(company.questions, results, strict=False):
            question.ranking = nearest


def leave_out_doubtful(companies: list[Company]) -> None:
    """Leave out what nothing should answer and the search is sure of: some sentence answers it after all, or a reader who trusts the search cannot know."""
    for company in companies:
        company.questions = [question for question in company.questions if question.answer is not None or not question.found.sure]
        company.near_misses = [near for near in company.near_misses if not near.found.sure]


def _search(in_context: list[str], questions: list[str]) -> list[tuple[list[int], list[int], bool]]:
    """Return for each question the sentences that the index brings, those of them that are shown, and whether the search is sure."""
    reranker = load_reranker()
    with torch.autocast("cpu", torch.bfloat16):  # half the time; one result in a hundred differs
        judged = judge(reranker, in_context, questions, similarities(in_context, questions))
    found = []
    for row, scored, alike in zip(*judged, strict=True):
        candidates = [Candidate(int(number), float(chance)) for number, chance in zip(row, reranker.chances(scored, alike), strict=True)]
        shown = likely(sorted(candidates, key=lambda one: -one.score)[:PASSAGES])
        found.append((row.tolist(), [one.number for one in shown], is_sure(shown)))
    return found
