"""Fine-tune: train a LoRA adapter on conversations.

LoRA (Hu et al. 2021, arXiv 2106.09685) leaves the base model as it is and learns
two thin matrices beside some of its linear layers.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import filelock
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments, set_seed

from helpers.models import llm_name, load_tokenizer, new_model
from helpers.paths import DATA, model_files, workspace

CONVERSATIONS = DATA / "conversations" / "train.jsonl"
IGNORED = -100
ATTENTION = r".*(attn|attention)\..*"
REPORT = "report.json"
ROLES = ("system", "user", "assistant")
TRAINED_WITH = ("torch", "transformers", "peft")

Conversation = list[dict[str, str]]
Progress = Callable[[int, int, float], None]


class TuningError(Exception):
    """Conversations that cannot be trained on; the message says what to do."""


@dataclass(frozen=True)
class LoraSettings:
    """What decides an adapter: rank, scaling, passes over the data, learning rate, seed."""

    rank: int = 16
    alpha: int = 32
    epochs: int = 2
    learning_rate: float = 5e-3
    batch_size: int = 8
    seed: int = 0


@dataclass(frozen=True)
class TrainingReport:
    """What a training did: losses by step, wall-clock seconds, trained parameters, bytes on disk."""

    folder: Path
    losses: tuple[float, ...]
    seconds: float
    trained_parameters: int
    all_parameters: int
    bytes: int


def load_conversations(path: str | Path = CONVERSATIONS) -> list[Conversation]:
    """Read chat ``messages`` from a JSONL file, one conversation a line.

    Raises:
        TuningError: no file, or a line that is no conversation ending with a user and the assistant.
    """
    path = Path(path)
    if not path.exists():
        raise TuningError(f"There is no file {path}. The course's own is {CONVERSATIONS}.")
    conversations = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise TuningError(f"{path.name} is not UTF-8 text (byte {error.start}). Save it as UTF-8 in your editor.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            messages = json.loads(line)["messages"]
            good = [m["role"] for m in messages[-2:]] == ["user", "assistant"] and all(m["role"] in ROLES and isinstance(m["content"], str) for m in messages)
        except (ValueError, KeyError, TypeError):
            good = False
        if not good:
            ending = '{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}'
            raise TuningError(f'{path.name}, line {number}: expected {{"messages": [..., {ending}]}}. Mend or delete the line.')
        conversations.append(messages)
    return conversations


def add_adapter(model: PreTrainedModel, settings: LoraSettings = LoraSettings()) -> PeftModel:
    """Put a fresh adapter on the feed-forward layers of ``model``; it changes nothing until trained.

    Attention stays as it is: it is what looks things up in the prompt, and a bot with RAG needs that.
    """
    torch.manual_seed(settings.seed)
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules="all-linear", exclude_modules=ATTENTION, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """Return (trained, all) parameters."""
    parameters = list(model.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


def encode(conversation: Conversation, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Return token ids, and labels that count the assistant's last message only."""
    prompt = tokenizer.apply_chat_template(conversation[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    whole = tokenizer.apply_chat_template(conversation, return_dict=True)["input_ids"]
    return {"input_ids": whole, "labels": [IGNORED] * len(prompt) + whole[len(prompt) :]}


def train_adapter(
    conversations: Sequence[Conversation],
    folder: str | Path,
    settings: LoraSettings = LoraSettings(),
    progress: Progress | None = None,
) -> TrainingReport:
    """Train an adapter on ``conversations`` and save it to ``folder``.

    Args:
        progress: called after each step with (step, steps, loss).

    Raises:
        TuningError: there is nothing to train on, or ``folder`` holds something that no training wrote.
    """
    folder = _free(folder)
    set_seed(settings.seed)
    model = add_adapter(new_model(), settings)
    report = _fit(model, conversations, folder, settings, progress)
    with _replacing(folder) as part:
        model.save_pretrained(part, save_embedding_layers=False)
        (part / "settings.json").write_text(json.dumps(asdict(settings), indent=1), encoding="utf-8")
        return _reported(report, part / "adapter_model.safetensors")


def full_fine_tune(
    conversations: Sequence[Conversation],
    folder: str | Path,
    settings: LoraSettings = LoraSettings(learning_rate=5e-4),
    progress: Progress | None = None,
) -> TrainingReport:
    """Train *all* weights on ``conversations`` and save the whole model to ``folder``, to compare LoRA with.

    Rank and alpha of ``settings`` do not matter here; all weights want a smaller learning rate.

    Raises:
        TuningError: there is nothing to train on, or ``folder`` holds something that no training wrote.
    """
    folder = _free(folder)
    set_seed(settings.seed)
    model = new_model().train()
    report = _fit(model, conversations, folder, settings, progress)
    with _replacing(folder) as part:
        model.save_pretrained(part)
        load_tokenizer(llm_name()).save_pretrained(part)
        return _reported(report, part / "model.safetensors")


def _free(folder: str | Path) -> Path:
    """Return ``folder`` if training may write there: nothing is in it, or only what an earlier training wrote."""
    folder = Path(folder)
    if folder.exists():
        others = sorted({file.name for file in folder.iterdir()} - _written(folder)) if folder.is_dir() else [folder.name]
        if others:
            raise TuningError(f"{folder} holds {others[0]}, which no training wrote and which would be deleted. Name a new folder.")
    return folder


def _written(folder: Path) -> set[str]:
    """Return the names that the report in ``folder`` says a training wrote; none without one."""
    try:
        return {REPORT, *json.loads((folder / REPORT).read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _fit(model: torch.nn.Module, conversations: Sequence[Conversation], folder: Path, settings: LoraSettings, progress: Progress | None) -> TrainingReport:
    """Train what can be trained in ``model``."""
    if not conversations:
        raise TuningError("There are no conversations to train on. Load some with load_conversations().")
    tokenizer = load_tokenizer(llm_name())
    trained, everything = count_parameters(model)
    losses: list[float] = []
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(_part(folder)),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=5,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=not torch.cuda.is_available(),
            seed=settings.seed,
            train_sampling_strategy="group_by_length",
        ),
        train_dataset=[encode(c, tokenizer) for c in conversations],
        data_collator=lambda rows: _padded(rows, tokenizer),
        callbacks=[_Losses(losses, progress)],
    )
    trainer.remove_callback(PrinterCallback)
    begin = time.perf_counter()
    trainer.train()
    return TrainingReport(folder, tuple(losses), time.perf_counter() - begin, trained, everything, 0)


def _reported(report: TrainingReport, weights: Path) -> TrainingReport:
    """Add the size on disk and keep the report beside the weights, with the names of all files that are there."""
    report = replace(report, bytes=weights.stat().st_size)
    files = sorted(file.name for file in weights.parent.iterdir())
    (weights.parent / REPORT).write_text(json.dumps({**asdict(report), "files": files}, default=str), encoding="utf-8")
    return report


def load_report(folder: str | Path) -> TrainingReport:
    """Return the report of the training that made the adapter in ``folder``.

    Raises:
        TuningError: there is no report, so nobody knows how the adapter was trained.
    """
    path = Path(folder) / REPORT
    if not path.exists():
        raise TuningError(f"There is no {path}. Delete that folder and train the adapter again.")
    row = json.loads(path.read_text(encoding="utf-8"))
    row.pop("files", None)
    return TrainingReport(**{**row, "folder": Path(folder), "losses": tuple(row["losses"])})


def course_adapter(seed: int = 0, progress: Progress | None = None) -> Path:
    """Return the folder of the course's own adapter, training it at first use."""
    return kept_adapter(f"course-{seed}", load_conversations(), LoraSettings(seed=seed), progress)


def kept_adapter(name: str, conversations: Sequence[Conversation], settings: LoraSettings, progress: Progress | None = None) -> Path:
    """Return the folder of an adapter in the workspace, training it at first use.

    It is trained again when the conversations, the settings, the model or the code of the training change.
    """
    key = hashlib.sha256()
    key.update(json.dumps([conversations, asdict(settings), [version(package) for package in TRAINED_WITH]]).encode())
    key.update(Path(__file__).read_bytes())
    model = Path(llm_name())
    for file in model_files(model):
        key.update(file.read_bytes())
    key.update(str(model).encode())
    folder = workspace() / "adapters" / f"{name}-{key.hexdigest()[:10]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(folder.with_name(folder.name + ".lock")):
        if not (folder / "adapter_model.safetensors").exists():
            train_adapter(conversations, folder, settings, progress)
    return folder


class _Losses(TrainerCallback):
    def __init__(self, losses: list[float], progress: Progress | None) -> None:
        self.losses, self.progress = losses, progress

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict | None = None, **kwargs: object) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            if self.progress:
                self.progress(state.global_step, state.max_steps, self.losses[-1])


def _padded(rows: list[dict], tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor | int]:
    """Return a batch. The words before the first counted label of any row need no prediction, which saves a sixth of the time."""
    width = max(len(row["input_ids"]) for row in rows)

    def table(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([row[name] + [filler] * (width - len(row[name])) for row in rows])

    lengths = torch.tensor([len(row["input_ids"]) for row in rows])
    labels = table("labels", IGNORED)
    first_counted = int((labels != IGNORED).any(0).int().argmax())
    kept = width + 1 - first_counted
    return {
        "input_ids": table("input_ids", tokenizer.pad_token_id),
        "labels": labels[:, -kept:],
        "attention_mask": (torch.arange(width)[None] < lengths[:, None]).long(),
        "logits_to_keep": kept,
    }


def _part(folder: Path) -> Path:
    return folder.with_name(folder.name + ".part")


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give another folder to save to, which takes the place of ``folder`` at the end: an interrupted save leaves the old one."""
    part = _part(folder)
    shutil.rmtree(part, ignore_errors=True)
    yield part
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
