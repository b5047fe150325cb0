"""Train the reranker: ``python -m helpers.base_model.reranking``.

The embedder sees question and passage apart; a cross-encoder reads the two together
(Nogueira and Cho 2019, arXiv 1901.04085). Ours is all-MiniLM-L6-v2 with one linear layer on
the mean of its outputs; all layers are trained, the word vectors stay. It learns, from the
invented companies, which of five sentences that the retriever brings answers a question, or
that none of them does.

The run can be killed at any moment. Started again it resumes from the last checkpoint.
"""

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.util import batch_to_device
from torch.nn import functional

from helpers.base_model import companies as companies_module, retrieval
from helpers.base_model.companies import Company, is_held_out, texts_of
from helpers.base_model.meaning import key_of
from helpers.base_model.searching import judge, similarities
from helpers.base_model.slots import with_odd_slots
from helpers.base_model.stream import as_typed
from helpers.base_model.weights import save_checkpoint, write_digests
from helpers.paths import RERANKER, ROOT
from helpers.reranker import CALIBRATION, HEAD, LAYERS, Calibration, Reranker, new_cross_encoder, read_weights

CANDIDATES = 5
POOL = 40
WARM_UP = 100
EASY = 600
NONE_SHARE = 0.2
UNANSWERED_SHARE = 0.25
ODD_COMPANIES = 0.3
CHECKPOINT_EVERY = 200


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights.

    Args:
        passes: how often the companies are gone through.
        questions: how many a step asks.
        learning_rate: of the layers.
        head_rate: learning rate of the linear layer on top.
        steps: most steps of a pass; 0 for every question.
        near_misses: share of near misses among a pass's questions, as far as there are so many.
        met: how many folders of companies earlier passes have met; of the others every question is asked, as far as ``steps`` allow.
        start: folder of a reranker whose training goes on, with its second pass; empty for one from the beginning.
    """

    seed: int = 0
    passes: int = 1
    questions: int = 16
    learning_rate: float = 1.2e-4
    head_rate: float = 2e-3
    steps: int = 0
    near_misses: float = 0.0
    met: int = len(companies_module.SEARCH_FOLDERS)
    start: str = ""


class Choice(NamedTuple):
    """A question, some sentences in their context, and the place of the one that answers; None if none does."""

    question: str
    candidates: list[str]
    answer: int | None


def with_odd_values(company: Company, rng: random.Random) -> Company:
    """Return ``company`` with values of another kind in half of its slots."""
    return replace(company, sentences=[replace(sentence, text=with_odd_slots(sentence.text, rng)) for sentence in company.sentences])


def choices_of(company: Company, rng: random.Random, easy: bool = False) -> list[Choice]:
    """Return the questions of ``company``, each with sentences that the retriever brings for it, or with random ones if ``easy``.

    Of a share of the questions the answer is taken out. Questions that nothing answers are used less
    often: their wording gives them away.
    """
    texts, size = texts_of(company), len(company.sentences)
    found = []
    for question, text in zip(company.questions, texts.questions, strict=True):
        if question.answer is None and rng.random() > UNANSWERED_SHARE:
            continue
        others = [n for n in (rng.sample(range(size), min(size, CANDIDATES + 1)) if easy else question.ranking) if n != question.answer]
        answered = question.answer is not None and rng.random() > NONE_SHARE
        shown = _candidates([question.answer] if answered else [], others, rng)
        found.append(Choice(as_typed(text, rng), [texts.in_context[n] for n in shown], shown.index(question.answer) if answered else None))
    return found


def near_misses_of(company: Company, rng: random.Random) -> list[Choice]:
    """Return the near misses of ``company``, each with the sentence that tempts and others that the retriever brings for it."""
    texts, sentences = texts_of(company), range(len(company.sentences))
    rankings: dict[int | None, list[list[int]]] = {}
    for question in company.questions:
        rankings.setdefault(question.answer, []).append(question.ranking)
    found = []
    for near, text in zip(company.near_misses, texts.near_misses, strict=True):
        others = rng.choice(rankings.get(near.tempting) or [rng.sample(sentences, len(sentences))])
        shown = _candidates([near.tempting], [n for n in others if n != near.tempting], rng)
        found.append(Choice(as_typed(text, rng), [texts.in_context[n] for n in shown], None))
    return found


def _candidates(first: list[int], others: list[int], rng: random.Random) -> list[int]:
    """Return ``first``, the best of ``others`` and some of the rest, shuffled."""
    shown = first + others[: CANDIDATES - 2]
    rest = others[CANDIDATES - 2 :]
    shown += rng.sample(rest, min(CANDIDATES - len(shown), len(rest)))
    rng.shuffle(shown)
    return shown


def batches(companies: list[Company], recipe: Recipe, new: Sequence[Company] = ()) -> list[list[Choice]]:
    """Return the batches of all passes over ``companies`` and ``new`` ones: the easy ones first, each of choices of similar length.

    Each pass shows other values. Where a pass has no room for all, the new companies' questions go before.
    """
    rng = random.Random(recipe.seed)
    found, gone_through = [], 1 if recipe.start else 0
    for number in range(gone_through, gone_through + recipe.passes):
        easy, hard, fresh, near = [], [], [], []
        for company in (*companies, *new):
            named = replace(company, name=f"{company.name}-{number}") if number else company
            shown = with_odd_values(named, rng) if rng.random() < ODD_COMPANIES else named
            easy += [] if number else choices_of(shown, rng, easy=True)
            (fresh if company in new else hard).extend(choices_of(shown, rng))
            near += near_misses_of(shown, rng) if recipe.near_misses else []
        rng.shuffle(easy)
        rng.shuffle(hard)
        hard = [*fresh, *hard][: recipe.steps * recipe.questions or None]
        tempted = rng.sample(near, min(len(near), int(recipe.near_misses * len(hard))))
        if fresh or tempted:
            hard = [*hard[: len(hard) - len(tempted)], *tempted]
            rng.shuffle(hard)
        first = 0 if number else EASY * recipe.questions
        found += [*_by_length(easy[:first], recipe.questions, rng), *_by_length(hard[min(first, len(easy)) :], recipe.questions, rng)]
    return found


def _by_length(choices: list[Choice], questions: int, rng: random.Random) -> Iterator[list[Choice]]:
    for at in range(0, len(choices), POOL * questions):
        pool = sorted(choices[at : at + POOL * questions], key=lambda c: len(c.question) + max(map(len, c.candidates)))
        parts = [pool[begin : begin + questions] for begin in range(0, len(pool), questions)]
        rng.shuffle(parts)
        yield from parts


def loss_of(encoder: CrossEncoder, batch: list[Choice]) -> torch.Tensor:
    """Return the cross-entropy of the right candidate among all, with "none of them" as one more at logit 0."""
    pairs = [(choice.question, candidate) for choice in batch for candidate in choice.candidates]
    device = encoder.device
    features = batch_to_device(encoder.preprocess(pairs), device)
    with torch.autocast(device.type, torch.bfloat16):
        scores = encoder(features)["scores"].float()[:, 0]
    per_choice = scores.split([len(choice.candidates) for choice in batch])
    logits = torch.nn.utils.rnn.pad_sequence(list(per_choice), batch_first=True, padding_value=-1e4)
    logits = torch.cat([torch.zeros(len(batch), 1, device=device), logits], 1)
    right = torch.tensor([0 if choice.answer is None else choice.answer + 1 for choice in batch], device=device)
    return functional.cross_entropy(logits, right)


def train(companies: list[Company], checkpoint: Path, recipe: Recipe = Recipe(), device: str = "cpu", new: Sequence[Company] = ()) -> CrossEncoder:
    """Return the cross-encoder, trained on ``companies`` and ``new`` ones; goes on from ``checkpoint`` if it exists."""
    torch.manual_seed(recipe.seed)
    encoder = new_cross_encoder(attention="eager").to(device)
    encoder[0].auto_model.embeddings.requires_grad_(False)
    if recipe.start:
        read_weights(encoder, Path(recipe.start))
    layers, head = list(encoder[0].auto_model.encoder.parameters()), list(encoder[-1].parameters())
    update = torch.optim.AdamW([{"params": layers, "lr": recipe.learning_rate}, {"params": head, "lr": recipe.head_rate}], weight_decay=0.01)
    steps = batches(companies, recipe, new)
    pace = torch.optim.lr_scheduler.LambdaLR(update, lambda step: min(1, (step + 1) / WARM_UP) * (1 - step / len(steps)))
    done = 0
    begun_with = {**asdict(recipe), "companies": key_of([text for texts in map(texts_of, (*companies, *new)) for text in (*texts.all(), *texts.near_misses)])}
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        if state["begun_with"] != begun_with:
            raise ValueError(f"The training in {checkpoint} was begun with other settings or companies. Give the same ones to go on, or delete that file to begin anew.")
        encoder.load_state_dict(state["encoder"])
        update.load_state_dict(state["update"])
        pace.load_state_dict(state["pace"])
        done = state["done"]
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    encoder.train()
    losses, begin = [], time.time()
    for step in range(done, len(steps)):
        torch.manual_seed(recipe.seed + step)  # for dropout: a run that goes on drops what it would have dropped
        loss = loss_of(encoder, steps[step])
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*layers, *head], 1.0)
        update.step()
        pace.step()
        update.zero_grad()
        losses.append(loss.detach())
        if (step + 1) % CHECKPOINT_EVERY == 0:
            print(f"step {step + 1} of {len(steps)}: loss {torch.stack(losses).mean():.3f}, {time.time() - begin:.0f} s", flush=True)
            losses = []
            save_checkpoint(checkpoint, {"encoder": encoder.state_dict(), "update": update.state_dict(), "pace": pace.state_dict(), "done": step + 1, "begun_with": begun_with})
    return encoder.eval()


def calibrate(encoder: CrossEncoder, companies: list[Company], seed: int = 0) -> Calibration:
    """Return the weights of the cross-encoder's number and of the embedder's similarity, and the bias, that make the chances true on ``companies``.

    The two judges make different mistakes, so their sum is better than either. Maximum likelihood,
    as temperature scaling does it (Guo et al. 2017, arXiv 1706.04599).

    Args:
        companies: companies that neither the embedder's adapter nor ``encoder`` was trained on.
    """
    scores, similarities, answers = (torch.tensor(np.concatenate(part)) for part in zip(*(_judged(encoder, c, random.Random(f"{seed}-{c.name}")) for c in companies), strict=True))
    parameters = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([parameters], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        logits = torch.cat([torch.zeros(len(scores), 1), parameters[0] * scores + parameters[1] * similarities + parameters[2]], 1)
        value = functional.cross_entropy(logits, answers)
        value.backward()
        return value

    search.step(loss)
    return Calibration(*(round(value, 3) for value in parameters.tolist()))


def _judged(encoder: CrossEncoder, company: Company, rng: random.Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores and similarities (questions x passages) of what a search brings, and which one answers, from 1 on; 0 if none does."""
    texts = texts_of(company)
    answered = [n for n, question in enumerate(company.questions) if question.answer is not None]
    asked = [texts.questions[n] for n in answered]
    likeness = similarities(texts.in_context, asked)
    gold = np.array([company.questions[n].answer for n in answered])
    taken_out = np.array([rng.random() < NONE_SHARE for _ in answered])
    likeness[taken_out, gold[taken_out]] = -1.0
    best, scores, alike = judge(Reranker(encoder), texts.in_context, asked, likeness)
    hits = (best == gold[:, None]) & ~taken_out[:, None]
    return scores, alike, np.where(hits.any(1), hits.argmax(1) + 1, 0)


def save(encoder: CrossEncoder, calibration: Calibration, folder: Path) -> None:
    """Write what was trained to ``folder``, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in ((LAYERS, encoder[0].auto_model.encoder), (HEAD, encoder[-1])):
        save_file({key: value.half().contiguous() for key, value in part.state_dict().items()}, folder / name)
    (folder / CALIBRATION).write_text(json.dumps(calibration._asdict()) + "\n", encoding="utf-8")
    write_digests(folder / LAYERS)


def main() -> None:
    """Train the reranker, calibrate it on the held-out companies and save it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", type=Path, default=RERANKER)
    parser.add_argument("--checkpoint", type=Path, default=ROOT / ".cache" / "reranker.pt")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = parser.parse_args()
    recipe = Recipe(**{name: getattr(options, name) for name in asdict(Recipe())})
    known, new = companies_module.load_with_headings(recipe.met, companies_module.SEARCH_FOLDERS)
    retrieval.rank([*known, *new])
    trained, unseen = ([[c for c in part if is_held_out(c.name) is held_out] for part in (known, new)] for held_out in (False, True))
    encoder = train(trained[0], options.checkpoint, recipe, options.device, trained[1]).cpu()
    calibration = calibrate(encoder, [*unseen[0], *unseen[1]])
    print(calibration)
    save(encoder, calibration, options.target)


if __name__ == "__main__":
    main()
