"""Train the base model from scratch: ``python -m helpers.base_model.train --help``.

The run can be killed at any moment. Started again it resumes from the last
checkpoint with the same examples, the same learning rates and the same losses.
"""

import argparse
import json
import math
import os
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.base_model import prose as prose_module
from helpers.base_model import stream as stream_module
from helpers.base_model import tokenizer as tokenizer_module
from helpers.base_model.stream import Example, Stream

POOL = 12
UNSEEN = 10**9


@dataclass
class Recipe:
    """Everything that decides the weights."""

    seed: int = 0
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    vocabulary: int = 6144
    batch: int = 64
    million_tokens: float = 30.0
    decay_share: float = 0.3
    optimizer: str = "muon"
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.02
    rest_share: float = 0.15
    relevance_weight: float = 0.5
    embedder_start: bool = True


def build_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the untrained model, its token vectors started from the embedder's."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=8 * ((recipe.hidden * 8 // 3 + 7) // 8),
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="eager",
    )
    model = LlamaForCausalLM(config)
    if recipe.embedder_start:
        _start_from_embedder(model, tokenizer)
    return model


def _start_from_embedder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give each token the embedder's vector of its text, projected by PCA to the model's width."""
    from helpers.models import load_embedder

    inner = load_embedder()._client[0]
    pieces = inner.auto_model.get_input_embeddings().weight.detach()
    weight = model.get_input_embeddings().weight
    rows, vectors = [], []
    for token, index in tokenizer.get_vocab().items():
        text = tokenizer.convert_tokens_to_string([token]).strip()
        ids = inner.tokenizer(text, add_special_tokens=False)["input_ids"] if text.isalnum() else []
        if ids:
            rows.append(index)
            vectors.append(pieces[ids].mean(0))
    table = torch.stack(vectors)
    table = table - table.mean(0)
    basis = torch.linalg.svd(table, full_matrices=False).Vh[: weight.shape[1]]
    projected = table @ basis.T
    projected = projected / projected.std() * weight.std()
    with torch.no_grad():
        weight[rows] = 0.8 * projected + 0.6 * weight[rows]


class Trunk(torch.nn.Module):
    """The model's layers, with a tap two thirds of the way up for the relevance head."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.tap = 2 * len(inner.layers) // 3

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the last hidden states and those at the tap, both rows x tokens x width."""
        hidden = self.inner.embed_tokens(ids)
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        mask = torch.full((ids.shape[1], ids.shape[1]), -1e9, device=ids.device).triu(1)[None, None]
        rotary = self.inner.rotary_emb(hidden, position_ids=places)
        tapped = hidden
        for number, layer in enumerate(self.inner.layers, 1):
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, position_ids=places)
            if number == self.tap:
                tapped = hidden
        return self.inner.norm(hidden), tapped


@dataclass
class Encoded:
    """One example as token ids; ``marks`` are (position of a passage's end, whether it answers)."""

    ids: list[int]
    start: int
    marks: list[tuple[int, bool]]


@dataclass
class Batch:
    """Token ids (rows x tokens), which tokens count in the loss, and the passages' ends with their labels."""

    ids: torch.Tensor
    counted: torch.Tensor
    marks: tuple[torch.Tensor, torch.Tensor]
    answers: torch.Tensor

    def to(self, device: str) -> "Batch":
        """Return the batch on ``device``."""
        return Batch(self.ids.to(device), self.counted.to(device), tuple(m.to(device) for m in self.marks), self.answers.to(device))


class Batches:
    """Examples as padded tensors, sorted by length within pools so that little is padding."""

    def __init__(self, stream: Stream, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
        self.stream, self.tokenizer, self.recipe = stream, tokenizer, recipe
        self.special = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("system", "user", "assistant", "end")}
        self.numbers = {tokenizer.convert_tokens_to_ids(text): number for number, text in enumerate(tokenizer_module.CITATIONS, 1)}
        self._pool: tuple[int, list[list[Encoded]]] = (-1, [])

    def encode(self, example: Example) -> Encoded:
        """Return the example as the chat template renders it."""
        ids: list[int] = []
        if example.system:
            ids += [self.special["system"], *self.tokenizer.encode(example.system), self.special["end"]]
        ids += [self.special["user"], *self.tokenizer.encode(example.prompt), self.special["end"], self.special["assistant"]]
        last = {self.numbers[token]: place for place, token in enumerate(ids) if token in self.numbers}
        marks = [(place, number in example.gold) for number, place in last.items()]
        return Encoded(ids + [*self.tokenizer.encode(example.answer), self.special["end"]], len(ids), marks)

    def batch(self, step: int) -> Batch:
        """Return batch number ``step``."""
        number = step // POOL
        if self._pool[0] != number:
            size = self.recipe.batch * POOL
            encoded = sorted((self.encode(self.stream.example(number * size + i)) for i in range(size)), key=lambda e: len(e.ids))
            rows = [encoded[i : i + self.recipe.batch] for i in range(0, size, self.recipe.batch)]
            random.Random(f"{self.recipe.seed}-order-{number}").shuffle(rows)
            self._pool = (number, rows)
        rows = self._pool[1][step % POOL]
        width = 8 * math.ceil(max(len(row.ids) for row in rows) / 8)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        counted = torch.zeros((len(rows), width), dtype=torch.bool)
        generator = torch.Generator().manual_seed(step)
        rest = torch.rand((len(rows), width), generator=generator) < self.recipe.rest_share
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)] = torch.tensor(row.ids)
            counted[number, 1 : len(row.ids)] = rest[number, 1 : len(row.ids)]
            counted[number, row.start : len(row.ids)] = True
        marks = [(number, place, answers) for number, row in enumerate(rows) for place, answers in row.marks]
        places = tuple(torch.tensor([mark[i] for mark in marks], dtype=torch.long) for i in (0, 1))
        return Batch(ids, counted, places, torch.tensor([mark[2] for mark in marks], dtype=torch.float))


def optimizers(model: LlamaForCausalLM, relevance: torch.nn.Linear, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest (Jordan et al. 2024)."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    inside = {id(p) for p in matrices}
    rest = [p for p in [*model.parameters(), *relevance.parameters()] if id(p) not in inside]
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.95), "weight_decay": 0.0}
    if recipe.optimizer == "adamw":
        return [torch.optim.AdamW([{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": rest}], **adam)]
    muon = torch.optim.Muon(matrices, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, **adam)]


def rate(step: int, progress: float, recipe: Recipe) -> float:
    """Warm-up, plateau, then a linear decay to zero over the last ``decay_share``."""
    return min(1.0, (step + 1) / recipe.warmup_steps, max(0.0, (1.0 - progress) / recipe.decay_share))


def losses_of(trunk: torch.nn.Module, head: torch.nn.Module, relevance: torch.nn.Linear, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the language loss over the counted tokens and the relevance loss over the passages' ends.

    The relevance head asks, where a passage ends, whether it answers the question.
    It is there in training only: it makes the layers below learn to compare the
    two, which the answer's tokens alone teach slowly.
    """
    with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16):
        hidden, tapped = trunk(batch.ids)
        logits = head(hidden[:, :-1][batch.counted[:, 1:]])
    language = torch.nn.functional.cross_entropy(logits.float(), batch.ids[:, 1:][batch.counted[:, 1:]])
    if not len(batch.answers):
        return language, language.detach() * 0
    judged = relevance(tapped[batch.marks].float()).squeeze(-1)
    return language, torch.nn.functional.binary_cross_entropy_with_logits(judged, batch.answers)


@torch.no_grad()
def exact_shares(model: LlamaForCausalLM, batches: Batches, start: int, size: int) -> dict[str, float]:
    """Share of examples whose greedy answer is exact, by task and number of passages."""
    right: dict[str, list[bool]] = {}
    examples = [batches.stream.example(start + i) for i in range(size)]
    for at in range(0, size, 64):
        group = examples[at : at + 64]
        encoded = [batches.encode(e) for e in group]
        ids = torch.zeros((len(group), max(len(e.ids) for e in encoded)), dtype=torch.long)
        for row, one in enumerate(encoded):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
        device = next(model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            best = model(input_ids=ids.to(device), use_cache=False).logits.argmax(-1).cpu()
        for row, (example, one) in enumerate(zip(group, encoded, strict=True)):
            name = example.task + (str(example.prompt.count("\n[")) if example.task in ("read", "abstain") else "")
            right.setdefault(name, []).append(bool((best[row, one.start - 1 : len(one.ids) - 1] == ids[row, one.start : len(one.ids)]).all()))
    return {name: round(sum(hits) / len(hits), 3) for name, hits in sorted(right.items())}


def train(recipe: Recipe, folder: Path, hours: float, threads: int, device: str, compiled: bool, patience: int) -> None:
    """Train until the recipe's tokens are used up or ``hours`` are over; resumes by itself."""
    torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder.parent
    prose_file = cache / "prose.txt"
    if not prose_file.exists():
        prose_file.write_text("\n".join(prose_module.sentences()), encoding="utf-8")
    prose = prose_file.read_text(encoding="utf-8").split("\n")
    stream = stream_module.load(prose, cache / "rankings", recipe.seed)
    held_out = stream_module.load(prose, cache / "rankings", recipe.seed + 1, held_out=True)
    if not (folder / "tokenizer.json").exists():
        texts = (stream.example(UNSEEN + i) for i in range(30_000))
        tokenizer_module.save(tokenizer_module.train((f"{e.system}\n{e.prompt}\n{e.answer}" for e in texts), recipe.vocabulary), folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = build_model(recipe, tokenizer).to(device)
    relevance = torch.nn.Linear(recipe.hidden, 1).to(device)
    updates = optimizers(model, relevance, recipe)
    step, tokens = 0, 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        relevance.load_state_dict(state["relevance"])
        for update, saved in zip(updates, state["optimizers"], strict=True):
            update.load_state_dict(saved)
        step, tokens = state["step"], state["tokens"]
    trunk = Trunk(model.model)
    trunk = torch.compile(trunk, dynamic=True) if compiled else trunk
    batches, held = Batches(stream, tokenizer, recipe), Batches(held_out, tokenizer, recipe)
    log = (folder / "log.jsonl").open("a", encoding="utf-8")
    begin, began_at, losses = time.time(), tokens, []
    total = recipe.million_tokens * 1e6
    while tokens < total and time.time() - begin < hours * 3600:
        batch = batches.batch(step).to(device)
        scale = rate(step, tokens / total, recipe)
        for update in updates:
            for group in update.param_groups:
                group["lr"] = recipe.learning_rate * scale
        language, choice = losses_of(trunk, model.lm_head, relevance, batch)
        (language + recipe.relevance_weight * choice).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for update in updates:
            update.step()
            update.zero_grad()
        losses.append((language.item(), choice.item()))
        step, tokens = step + 1, tokens + int((batch.ids != tokenizer.pad_token_id).sum())
        if step % (POOL * patience) == 0:
            speed = (tokens - began_at) / (time.time() - begin)
            row = {"step": step, "tokens": tokens}
            row |= {name: round(sum(part) / len(losses), 4) for name, part in zip(("loss", "relevance"), zip(*losses, strict=True), strict=True)}
            row |= {"speed": round(speed), "rate": round(scale, 3)}
            row["held_out"] = exact_shares(model, held, UNSEEN, 512)
            losses = []
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(json.dumps(row), flush=True)
            _save(checkpoint, model, relevance, updates, step, tokens)
    _save(checkpoint, model, relevance, updates, step, tokens)
    model.save_pretrained(folder / "model")
    tokenizer_module.save(tokenizer, folder / "model")
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1), encoding="utf-8")


def _save(checkpoint: Path, model: LlamaForCausalLM, relevance: torch.nn.Linear, updates: list, step: int, tokens: int) -> None:
    part = checkpoint.with_suffix(".part")
    state = {"model": model.state_dict(), "relevance": relevance.state_dict(), "optimizers": [u.state_dict() for u in updates]}
    torch.save({**state, "step": step, "tokens": tokens}, part)
    part.replace(checkpoint)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in asdict(Recipe()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, default=value)
        else:
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    parser.add_argument("--folder", type=Path, default=Path(".cache/base_model"), help="checkpoints and log")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--patience", type=int, default=10, help="pools of batches between log lines")
    options = vars(parser.parse_args())
    recipe = Recipe(**{name: options.pop(name) for name in asdict(Recipe())})
    train(recipe, options["folder"], options["hours"], options["threads"], options["device"], options["compile"], options["patience"])


if __name__ == "__main__":
    main()
