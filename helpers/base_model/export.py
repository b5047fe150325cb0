"""Ship a trained base model: ``python -m helpers.base_model.export --folder .cache/base_model``.

Writes weights (half precision), tokenizer, learning curve and hash to ``data/models``. Of several
folders it ships the mean of the weights, which reads better than each stage alone (Wortsman et al.
2022, "Model soups", arXiv 2203.05482). The model card beside them is written by hand, with the
figures of ``evaluate``.
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
from helpers.base_model.weights import write_digest
from helpers.paths import BASE_MODEL
from helpers.scenarios import read_lines


def export(folders: Sequence[Path], target: Path = BASE_MODEL) -> str:
    """Write the mean of the checkpoints in ``folders`` to ``target`` and return the weights' SHA-256."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folders[-1])
    recipe = Recipe(**json.loads((folders[-1] / "recipe.json").read_text(encoding="utf-8")))
    model: LlamaForCausalLM = build_model(replace(recipe, embedder_start=False), tokenizer)
    states = [torch.load(folder / "checkpoint.pt", map_location="cpu", weights_only=True)["model"] for folder in folders]
    model.load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    target.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(target)
    tokenizer_module.save(tokenizer, target)
    curves = [json.dumps({"stage": folder.name, **row}) for folder in folders for row in read_lines(folder / "log.jsonl")]
    (target / "training_log.jsonl").write_text("\n".join(curves) + "\n", encoding="utf-8")
    return write_digest(target / "model.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, nargs="+", default=[Path(".cache/base_model")])
    parser.add_argument("--target", type=Path, default=BASE_MODEL)
    options = parser.parse_args()
    print(export(options.folder, options.target))
