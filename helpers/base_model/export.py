"""Ship a trained base model: ``python -m helpers.base_model.export --folder .cache/base_model``.

Writes weights (half precision), tokenizer, learning curve and hash to ``data/models``. The model
card beside them is written by hand, with the figures of ``evaluate``.
"""

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from helpers.base_model import tokenizer as tokenizer_module
from helpers.base_model.train import Recipe, build_model
from helpers.base_model.weights import write_digest
from helpers.paths import BASE_MODEL


def export(folder: Path, target: Path = BASE_MODEL) -> str:
    """Copy the checkpoint in ``folder`` to ``target`` and return the weights' SHA-256."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    recipe = Recipe(**json.loads((folder / "recipe.json").read_text(encoding="utf-8")))
    model: LlamaForCausalLM = build_model(replace(recipe, embedder_start=False), tokenizer)
    model.load_state_dict(torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)["model"])
    target.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(target)
    tokenizer_module.save(tokenizer, target)
    shutil.copy(folder / "log.jsonl", target / "training_log.jsonl")
    return write_digest(target / "model.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".cache/base_model"))
    parser.add_argument("--target", type=Path, default=BASE_MODEL)
    options = parser.parse_args()
    print(export(options.folder, options.target))
