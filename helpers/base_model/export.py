"""Ship a trained base model: ``python -m helpers.base_model.export --folder .cache/base_model``.

Writes weights (half precision), tokenizer, learning curve and hashes to ``data/models``. Of several
folders it ships the mean of the weights, which reads better than each stage alone (Wortsman et al.
2022, "Model soups", arXiv 2203.05482); one of them may be the shipped model that a stage began with, and one
that is named twice counts twice.
The model card beside them is written by hand, with the figures of ``evaluate``.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.base_model import tokenizer as tokenizer_module
from helpers.base_model.train import Recipe, build_model
from helpers.base_model.weights import write_digests
from helpers.paths import BASE_MODEL
from helpers.scenarios import read_lines


def export(folders: Sequence[Path], target: Path = BASE_MODEL) -> str:
    """Write the mean of the weights in ``folders``, the last of which is a training's, to ``target`` and return their SHA-256."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folders[-1])
    recipe = Recipe(**json.loads((folders[-1] / "recipe.json").read_text(encoding="utf-8")))
    model: LlamaForCausalLM = build_model(replace(recipe, embedder_start=False), tokenizer)
    states = [_weights(folder) for folder in folders]
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    target.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(target)
    tokenizer_module.save(tokenizer, target)
    curves = [json.dumps(row) for folder in dict.fromkeys(folders) for row in _curve(folder)]
    (target / "training_log.jsonl").write_text("\n".join(curves) + "\n", encoding="utf-8")
    return write_digests(target / "model.safetensors")


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a training's last checkpoint, or of a model that was shipped."""
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        return torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def _curve(folder: Path) -> list[dict]:
    """Return the learning curve of a training, or those that a shipped model brings along."""
    log = folder / "log.jsonl"
    return [{"stage": folder.name, **row} for row in read_lines(log)] if log.exists() else read_lines(folder / "training_log.jsonl")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, nargs="+", default=[Path(".cache/base_model")])
    parser.add_argument("--target", type=Path, default=BASE_MODEL)
    options = parser.parse_args()
    print(export(options.folder, options.target))
