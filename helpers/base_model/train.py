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


class Batches:
    """Examples as padded tensors, sorted by length within pools so that little is padding."""

    def __init__(self, stream: Stream, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
        self.stream, self.tokenizer, self.recipe = stream, tokenizer, recipe
        self.marks = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("system", "user", "assistant", "end")}
        self._pool: tuple[int, list] = (-1, [])

    def encode(self, example: Example) -> tuple[list[int], int]:
        """Return the token ids and where the answer begins (as the chat template renders it)."""
        ids: list[int] = []
        if example.system:
            ids += [self.marks["system"], *self.tokenizer.encode(example.system), self.marks["end"]]
        ids += [self.marks["user"], *self.tokenizer.encode(example.prompt), self.marks["end"], self.marks["assistant"]]
        return ids + [*self.tokenizer.encode(example.answer), self.marks["end"]], len(ids)

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids (rows x tokens) and the mask of positions whose token counts in the loss."""
        number = step // POOL
        if self._pool[0] != number:
            size = self.recipe.batch * POOL
            examples = [self.stream.example(number * size + i) for i in range(size)]
            encoded = sorted((self.encode(e) for e in examples), key=lambda pair: len(pair[0]))
            rows = [encoded[i : i + self.recipe.batch] for i in range(0, size, self.recipe.batch)]
            random.Random(f"{self.recipe.seed}-order-{number}").shuffle(rows)
            self._pool = (number, rows)
        rows = self._pool[1][step % POOL]
        width = 8 * math.ceil(max(len(ids) for ids, _ in rows) / 8)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        counted = torch.zeros((len(rows), width), dtype=torch.bool)
        generator = torch.Generator().manual_seed(step)
        rest = torch.rand((len(rows), width), generator=generator) < self.recipe.rest_share
        for row, (tokens, start) in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            counted[row, 1 : len(tokens)] = rest[row, 1 : len(tokens)]
            counted[row, start : len(tokens)] = True
        return ids, counted


def optimizers(model: LlamaForCausalLM, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest (Jordan et al. 2024)."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    inside = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in inside]
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.95), "weight_decay": 0.0}
    if recipe.optimizer == "adamw":
        return [torch.optim.AdamW([{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": rest}], **adam)]
    muon = torch.optim.Muon(matrices, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, **adam)]


def rate(step: int, progress: float, recipe: Recipe) -> float:
    """Warm-up, plateau, then a linear decay to zero over the last ``decay_share``."""
    return min(1.0, (step + 1) / recipe.warmup_steps, max(0.0, (1.0 - progress) / recipe.decay_share))


def loss_of(body, head, ids: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy over the counted tokens only: no logits where none are needed."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        hidden = body(input_ids=ids, use_cache=False).last_hidden_state
        logits = head(hidden[:, :-1][counted[:, 1:]])
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][counted[:, 1:]])


@torch.no_grad()
def exact_shares(model: LlamaForCausalLM, batches: Batches, start: int, size: int) -> dict[str, float]:
    """Share of examples whose greedy answer is exact, by task and number of passages."""
    right: dict[str, list[bool]] = {}
    examples = [batches.stream.example(start + i) for i in range(size)]
    for at in range(0, size, 64):
        group = examples[at : at + 64]
        encoded = [batches.encode(e) for e in group]
        width = max(len(ids) for ids, _ in encoded)
        ids = torch.zeros((len(group), width), dtype=torch.long)
        for row, (tokens, _) in enumerate(encoded):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        device = next(model.parameters()).device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            best = model(input_ids=ids.to(device), use_cache=False).logits.argmax(-1).cpu()
        for row, (example, (tokens, begin)) in enumerate(zip(group, encoded, strict=True)):
            name = example.task + (str(example.prompt.count("\n[")) if example.task in ("read", "abstain") else "")
            right.setdefault(name, []).append(bool((best[row, begin - 1 : len(tokens) - 1] == ids[row, begin : len(tokens)]).all()))
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
    updates = optimizers(model, recipe)
    step, tokens = 0, 0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        for update, saved in zip(updates, state["optimizers"], strict=True):
            update.load_state_dict(saved)
        step, tokens = state["step"], state["tokens"]
    body = torch.compile(model.model, dynamic=True) if compiled else model.model
    batches, held = Batches(stream, tokenizer, recipe), Batches(held_out, tokenizer, recipe)
    log = (folder / "log.jsonl").open("a", encoding="utf-8")
    begin, began_at, losses = time.time(), tokens, []
    total = recipe.million_tokens * 1e6
    while tokens < total and time.time() - begin < hours * 3600:
        ids, counted = batches.batch(step)
        ids, counted = ids.to(device), counted.to(device)
        scale = rate(step, tokens / total, recipe)
        for update in updates:
            for group in update.param_groups:
                group["lr"] = recipe.learning_rate * scale
        loss = loss_of(body, model.lm_head, ids, counted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for update in updates:
            update.step()
            update.zero_grad()
        losses.append(loss.item())
        step, tokens = step + 1, tokens + int((ids != tokenizer.pad_token_id).sum())
        if step % (POOL * patience) == 0:
            speed = (tokens - began_at) / (time.time() - begin)
            row = {"step": step, "tokens": tokens, "loss": round(sum(losses) / len(losses), 4), "speed": round(speed), "rate": round(scale, 3)}
            row["held_out"] = exact_shares(model, held, UNSEEN, 512)
            losses = []
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(json.dumps(row), flush=True)
            _save(checkpoint, model, updates, step, tokens)
    _save(checkpoint, model, updates, step, tokens)
    model.save_pretrained(folder / "model")
    tokenizer_module.save(tokenizer, folder / "model")
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1), encoding="utf-8")


def _save(checkpoint: Path, model: LlamaForCausalLM, updates: list, step: int, tokens: int) -> None:
    part = checkpoint.with_suffix(".part")
    torch.save({"model": model.state_dict(), "optimizers": [u.state_dict() for u in updates], "step": step, "tokens": tokens}, part)
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
