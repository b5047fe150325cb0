"""Train the base model from scratch: ``python -m helpers.base_model.train --help``.

The run can be killed at any moment. Started again it resumes from the last
checkpoint with the same examples, the same learning rates and the same losses.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.base_model import prose as prose_module
from helpers.base_model import stream as stream_module
from helpers.base_model import tokenizer as tokenizer_module
from helpers.base_model.batches import POOL, Batches
from helpers.base_model.losses import Trunk, losses_of
from helpers.base_model.meaning import WIDTH, Meanings
from helpers.base_model.weights import save_checkpoint
from helpers.paths import write_whole

UNSEEN = 10**9
CONTRAST = 16
TOKENS_AN_EXAMPLE = 107


@dataclass
class Recipe:
    """Everything that decides the weights.

    ``start`` names a folder with an earlier model (weights and tokenizer) to go on from;
    empty, the model starts from nothing. An earlier model skips the easy examples of the
    beginning. Over the last ``in_use_share`` of the tokens readings are as in use: mostly
    about companies not met before (the first ``met`` folders hold those that are known), and a
    share of ``unanswered_in_use`` lacks its answer, before that ``unanswered``; a share of
    ``reranked`` shows what the reranker leaves, and a share of ``near_misses`` a sentence that
    only looks like an answer. Large batches need a longer easy beginning: it lasts ``pace``
    times as many examples.
    """

    seed: int = 0
    start: str = ""
    hidden: int = 320
    layers: int = 6
    heads: int = 5
    vocabulary: int = 6144
    batch: int = 32
    pace: int = 1
    million_tokens: float = 34.0
    decay_share: float = 0.7
    unanswered: float = 0.12
    unanswered_in_use: float = 0.04
    in_use_share: float = 0.35
    reranked: float = 0.0
    near_misses: float = 0.0
    met: int = 1
    optimizer: str = "muon"
    learning_rate: float = 1.2e-3
    warmup_steps: int = 100
    weight_decay: float = 0.02
    rest_share: float = 0.15
    meaning_weight: float = 0.5
    likeness_weight: float = 0.5
    choice_weight: float = 1.0
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
    if recipe.start:
        return LlamaForCausalLM.from_pretrained(recipe.start, dtype=torch.float32, attn_implementation="eager").train()
    model = LlamaForCausalLM(config)
    _start_by_likeness(model)
    if recipe.embedder_start:
        _start_from_embedder(model, tokenizer)
    return model


@torch.no_grad()
def _start_by_likeness(model: LlamaForCausalLM, strength: float = 0.7) -> None:
    """Let half of the heads begin by attending from each token to tokens like it.

    Queries and keys share most of their weights, so a word in the question sees the
    same word in a passage from the first step on, and with token vectors from
    the embedder also a similar word (mimetic initialisation, Trockman and Kolter
    2023, arXiv 2305.09828).
    """
    for layer in model.model.layers:
        attention = layer.self_attn
        size, width = attention.head_dim, attention.q_proj.in_features
        for head in range(1, model.config.num_attention_heads, 2):
            rows = slice(head * size, (head + 1) * size)
            query, other = torch.randn(2, size, width) / width**0.5
            attention.q_proj.weight[rows] = query
            attention.k_proj.weight[rows] = strength * query + (1 - strength**2) ** 0.5 * other


def _start_from_embedder(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """Give each token the embedder's vector of its text, projected by PCA to the model's width."""
    from helpers.models import published_embedder

    inner = published_embedder()._client[0]
    pieces = inner.auto_model.get_input_embeddings().weight.detach()
    weight = model.get_input_embeddings().weight
    rows, vectors = [], []
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda one: one[1]):  # in an order that is the same in each process
        text = tokenizer.convert_tokens_to_string([token]).strip()
        ids = inner.tokenizer(text, add_special_tokens=False)["input_ids"] if text.isalnum() else []
        if ids:
            rows.append(index)
            vectors.append(pieces[ids].mean(0))
    table = torch.stack(vectors)
    table = table - table.mean(0)
    basis = torch.linalg.svd(table, full_matrices=False).Vh[: weight.shape[1]]
    basis = basis * basis.gather(1, basis.abs().argmax(1, keepdim=True)).sign()  # a decomposition leaves the signs open
    projected = table @ basis.T
    projected = projected / projected.std() * weight.std()
    with torch.no_grad():
        weight[rows] = 0.8 * projected + 0.6 * weight[rows]


def optimizers(model: LlamaForCausalLM, to_meaning: torch.nn.Linear, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the rest (Jordan et al. 2024), or AdamW for all."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    inside = {id(p) for p in matrices}
    rest = [p for p in [*model.parameters(), *to_meaning.parameters()] if id(p) not in inside]
    adam = {"lr": recipe.learning_rate, "betas": (0.9, 0.95), "weight_decay": 0.0}
    if recipe.optimizer == "adamw":
        return [torch.optim.AdamW([{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": rest}], fused=True, **adam)]
    muon = torch.optim.Muon(matrices, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, fused=True, **adam)]


def rate(step: int, progress: float, recipe: Recipe) -> float:
    """Warm-up, plateau, then a linear decay to zero over the last ``decay_share``."""
    return min(1.0, (step + 1) / recipe.warmup_steps, max(0.0, (1.0 - progress) / recipe.decay_share))


@torch.no_grad()
def exact_shares(model: LlamaForCausalLM, batches: Batches, start: int, size: int) -> dict[str, float]:
    """Return the share of examples whose greedy answer is exact, by task and number of passages.

    ``choose`` is the share of readings whose first token is right: the number
    of the passage that answers.
    """
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
            hits = best[row, one.start - 1 : len(one.ids) - 1] == ids[row, one.start : len(one.ids)]
            passages = str(len(one.spans) or "")
            right.setdefault(example.task + passages * (example.task in ("read", "abstain")), []).append(bool(hits.all()))
            if example.task == "read":
                right.setdefault(f"choose{passages}", []).append(bool(hits[0]))
    return {name: round(sum(hits) / len(hits), 3) for name, hits in sorted(right.items())}


def train(recipe: Recipe, folder: Path, hours: float, threads: int, device: str, compiled: bool, patience: int, workers: int) -> None:
    """Train until the recipe's tokens are used up or ``hours`` are over; resumes by itself."""
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high" if device == "cuda" else "highest")
    folder.mkdir(parents=True, exist_ok=True)
    prose_file = folder.parent / "prose.txt"
    if not prose_file.exists():
        write_whole(prose_file, "\n".join(prose_module.sentences()))
    prose = prose_file.read_text(encoding="utf-8").split("\n")
    meanings = Meanings(folder.parent / "meanings")
    first = recipe.pace * stream_module.EARLY if recipe.start else 0
    as_in_use = first + int(recipe.million_tokens * 1e6 * (1 - recipe.in_use_share) / TOKENS_AN_EXAMPLE)
    unanswered = stream_module.Unanswered(recipe.unanswered, recipe.unanswered_in_use, as_in_use)
    stream, held_out = stream_module.load(prose, meanings, recipe.seed, unanswered, recipe.pace, recipe.reranked, recipe.near_misses, recipe.met)
    if recipe.start:
        tokenizer_module.save(PreTrainedTokenizerFast.from_pretrained(recipe.start), folder)
    if not (folder / "tokenizer.json").exists():
        texts = (stream.example(UNSEEN + i) for i in range(30_000))
        tokenizer_module.save(tokenizer_module.train((f"{e.system}\n{e.prompt}\n{e.answer}" for e in texts), recipe.vocabulary), folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = build_model(recipe, tokenizer).to(device)
    to_meaning = torch.nn.Linear(model.config.hidden_size, WIDTH).to(device)
    updates = optimizers(model, to_meaning, recipe)
    step, tokens, losses = 0, 0, []
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        refuse_another(recipe, folder)
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        to_meaning.load_state_dict(state["to_meaning"])
        for update, saved in zip(updates, state["optimizers"], strict=True):
            update.load_state_dict(saved)
        step, tokens, losses = state["step"], state["tokens"], state["losses"]
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1), encoding="utf-8")
    trunk = Trunk(model.model)
    trunk = torch.compile(trunk, dynamic=True) if compiled else trunk
    table = torch.from_numpy(meanings.table()).to(device)
    batches, held = (Batches(s, tokenizer, recipe.batch, recipe.rest_share, recipe.seed, first) for s in (stream, held_out))
    log = (folder / "log.jsonl").open("a", encoding="utf-8")
    begin, began_at = time.time(), tokens
    total = recipe.million_tokens * 1e6
    ahead = batches.from_step(step, workers)
    while tokens < total and time.time() - begin < hours * 3600:
        batch = next(ahead)
        size = int((batch.ids != tokenizer.pad_token_id).sum())
        batch = batch.to(device)
        scale = rate(step, tokens / total, recipe)
        for update in updates:
            for group in update.param_groups:
                group["lr"] = recipe.learning_rate * scale
        parts = losses_of(trunk, model, to_meaning, batch, table, table[step % CONTRAST :: CONTRAST])
        (parts.language + recipe.meaning_weight * parts.meaning + recipe.likeness_weight * parts.likeness + recipe.choice_weight * parts.choice).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for update in updates:
            update.step()
            update.zero_grad()
        losses.append(torch.stack((parts.language, parts.meaning, parts.likeness, parts.choice)).detach())
        step, tokens = step + 1, tokens + size
        if step % (POOL * patience) == 0:
            row = {"step": step, "tokens": tokens}
            row |= {name: round(mean, 4) for name, mean in zip(("language", "meaning", "likeness", "choice"), torch.stack(losses).mean(0).tolist(), strict=True)}
            row |= {"speed": round((tokens - began_at) / (time.time() - begin)), "rate": round(scale, 3)}
            row["held_out"] = exact_shares(model, held, UNSEEN, 384)
            losses = []
            _save(checkpoint, model, to_meaning, updates, step, tokens, losses)
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(json.dumps(row), flush=True)
    _save(checkpoint, model, to_meaning, updates, step, tokens, losses)


def refuse_another(recipe: Recipe, folder: Path) -> None:
    """Raise ValueError where the checkpoint in ``folder`` was made by another recipe."""
    begun = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))
    other = [name for name, value in asdict(recipe).items() if begun.get(name) != value]
    if other:
        raise ValueError(f"The training in {folder} was begun with another {', '.join(other)}. Give the same settings to go on, or another --folder to begin anew.")


def _save(checkpoint: Path, model: LlamaForCausalLM, to_meaning: torch.nn.Linear, updates: list, step: int, tokens: int, losses: list[torch.Tensor]) -> None:
    state = {"model": model.state_dict(), "to_meaning": to_meaning.state_dict(), "optimizers": [u.state_dict() for u in updates]}
    save_checkpoint(checkpoint, {**state, "step": step, "tokens": tokens, "losses": losses})


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
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches; a GPU needs some")
    options = vars(parser.parse_args())
    recipe = Recipe(**{name: options.pop(name) for name in asdict(Recipe())})
    train(recipe, options["folder"], options["hours"], options["threads"], options["device"], options["compile"], options["patience"], options["workers"])


if __name__ == "__main__":
    main()
