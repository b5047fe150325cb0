"""Train the embedder's LoRA adapter: ``python -m helpers.base_model.retrieval``.

all-MiniLM-L6-v2 learned from a billion pairs of the open web, few of which are a customer's
question and the sentence of a help centre that answers it. An adapter, trained on such pairs of
the invented companies, moves the two closer; the embedder's own weights stay as they are. The
loss is InfoNCE (van den Oord et al. 2018, arXiv 1807.03748): the sentence that answers against
all others of the same company. The adapter is Sentence Transformers' and PEFT's own (Reimers and
Gurevych 2019, arXiv 1908.10084; Hu et al. 2021, arXiv 2106.09685).
"""

import argparse
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from peft import LoraConfig
from sentence_transformers import SentenceTransformer
from torch.nn import functional

from helpers.base_model import companies as companies_module
from helpers.base_model.companies import Company, is_held_out
from helpers.base_model.meaning import key_of
from helpers.base_model.weights import write_digests
from helpers.models import embedder_folder, load_embedder, published_embedder
from helpers.paths import RETRIEVAL_ADAPTER, ROOT

PASSES = 2
QUESTIONS = 48
LEARNING_RATE = 1e-3
WARM_UP = 40
FIRST_SHARPNESS = 20.0
RANKED = 8
RANKINGS = ROOT / ".cache" / "rankings.npz"
SETTINGS = LoraConfig(
    r=16,
    lora_alpha=32,
    target_modules=["query", "key", "value", "dense"],
    task_type="FEATURE_EXTRACTION",
    base_model_name_or_path="sentence-transformers/all-MiniLM-L6-v2",
)


class Pairs(NamedTuple):
    """A company's sentences in context and alone, its questions, and the number of the sentence that answers each."""

    in_context: list[str]
    alone: list[str]
    questions: list[str]
    answers: list[int]


def pairs_of(company: Company) -> Pairs:
    """Return the texts of ``company`` as the help centre embeds them; questions that nothing answers are left out."""
    texts = companies_module.texts_of(company)
    answered = [number for number, question in enumerate(company.questions) if question.answer is not None]
    questions = [texts.questions[number] for number in answered]
    return Pairs(texts.in_context, texts.alone, questions, [company.questions[number].answer for number in answered])


def likeness(encoder: SentenceTransformer, pairs: Pairs) -> torch.Tensor:
    """Return the (questions x sentences) likenesses by which the help centre ranks."""
    size = len(pairs.alone)
    in_context, rest = _vectors(encoder, pairs.in_context), _vectors(encoder, [*pairs.alone, *pairs.questions])
    return rest[size:] @ functional.normalize(in_context + rest[:size], dim=-1).T


def _vectors(encoder: SentenceTransformer, texts: list[str]) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return encoder(encoder.preprocess(texts))["sentence_embedding"].float()


def train(companies: list[Pairs], passes: int = PASSES, seed: int = 0) -> SentenceTransformer:
    """Return the embedder with an adapter trained on ``companies``, one company a step, some questions of it at a time."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    encoder = SentenceTransformer(str(embedder_folder()), device="cpu")
    encoder.add_adapter(SETTINGS)
    weights = [weight for weight in encoder.parameters() if weight.requires_grad]
    sharpness = torch.tensor(FIRST_SHARPNESS).log().requires_grad_()
    update = torch.optim.AdamW([*weights, sharpness], lr=LEARNING_RATE, weight_decay=0.01)
    steps = passes * len(companies)
    pace = torch.optim.lr_scheduler.LambdaLR(update, lambda step: min(1, (step + 1) / WARM_UP) * (1 - step / steps))
    encoder.train()
    for step, pairs in enumerate(pairs for _ in range(passes) for pairs in rng.sample(companies, len(companies))):
        chosen = rng.sample(range(len(pairs.answers)), min(QUESTIONS, len(pairs.answers)))
        part = pairs._replace(questions=[pairs.questions[n] for n in chosen], answers=[pairs.answers[n] for n in chosen])
        loss = functional.cross_entropy(likeness(encoder, part) * sharpness.exp(), torch.tensor(part.answers))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        update.step()
        pace.step()
        update.zero_grad()
        if step % 50 == 49:
            print(f"step {step + 1} of {steps}: loss {loss.item():.2f}", flush=True)
    return encoder.eval()


@torch.no_grad()
def first_right(encoder: SentenceTransformer, companies: list[Pairs]) -> float:
    """Return the share of questions whose best passage is the one that answers."""
    right = [likeness(encoder, pairs).argmax(1) == torch.tensor(pairs.answers) for pairs in companies]
    return torch.cat(right).float().mean().item()


def rank(companies: list[Company], cache: Path = RANKINGS) -> None:
    """Give each question the sentences that the retriever brings, best first; kept in ``cache`` (.npz).

    The reader trains on passages in this order, so it must hold the mistakes that the
    retriever makes at companies that it never saw. Hence two adapters: each is trained on
    half of the companies and ranks the other half.
    """
    keys = {company.name: key_of(companies_module.texts_of(company).all()) for company in companies}
    rankings = dict(np.load(cache)) if cache.exists() else {}
    if not rankings.keys() >= set(keys.values()):
        rankings = {}
        by_name = sorted(companies, key=lambda company: company.name)
        for first in (0, 1):
            half = by_name[first::2]
            inside = {company.name for company in half}
            encoder = train([pairs_of(c) for c in companies if c.name not in inside and not is_held_out(c.name)], 1, seed=first)
            rankings |= {keys[company.name]: _ranking(encoder, company) for company in half}
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(".part.npz")
        np.savez_compressed(part, **rankings)
        part.replace(cache)
    for company in companies:
        for question, row in zip(company.questions, rankings[keys[company.name]], strict=True):
            question.ranking = row.tolist()


def rank_unseen(companies: list[Company]) -> None:
    """Give each question the sentences that the course's embedder brings, best first, for companies that its adapter never saw."""
    for company in companies:
        for question, row in zip(company.questions, _ranking(load_embedder()._client, company), strict=True):
            question.ranking = row.tolist()


@torch.no_grad()
def _ranking(encoder: SentenceTransformer, company: Company) -> np.ndarray:
    texts = companies_module.texts_of(company)
    every_question = Pairs(texts.in_context, texts.alone, texts.questions, answers=[])
    return likeness(encoder, every_question).argsort(1, descending=True)[:, :RANKED].numpy().astype(np.int16)


def main() -> None:
    """Train the adapter, print what it changes on held-out companies and save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=RETRIEVAL_ADAPTER)
    parser.add_argument("--passes", type=int, default=PASSES)
    options = parser.parse_args()
    first, new = companies_module.load_with_headings()
    companies = [*first, *new]
    unseen = [pairs_of(company) for company in companies if is_held_out(company.name)]
    print(f"{len(unseen)} companies held out: best passage right {first_right(published_embedder()._client, unseen):.3f}", flush=True)
    encoder = train([pairs_of(company) for company in companies if not is_held_out(company.name)], options.passes)
    print(f"with the adapter {first_right(encoder, unseen):.3f}")
    encoder.half()[0].auto_model.save_pretrained(options.target)
    write_digests(options.target / "adapter_model.safetensors")


if __name__ == "__main__":
    main()
