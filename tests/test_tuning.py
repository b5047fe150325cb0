"""Training an adapter, on tiny models of other architectures."""

import json
from dataclasses import replace

import pytest
import torch
from fixtures import llm, llm_folder, own_workspace  # noqa: F401

from helpers import tuning
from helpers.models import load_model, load_tokenizer, new_model
from helpers.tuning import IGNORED, LoraSettings, TuningError, add_adapter, count_parameters, encode, full_fine_tune, load_conversations, load_report, train_adapter

CONVERSATION = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "How long is the warranty?"},
    {"role": "assistant", "content": "Happy to help! It's three years. [1]\nescalate: person"},
]
SETTINGS = LoraSettings(epochs=8, batch_size=4, learning_rate=1e-2)


def test_only_the_assistants_words_count(llm):  # noqa: F811
    tokenizer = load_tokenizer(str(llm))
    row = encode(CONVERSATION, tokenizer)
    assert len(row["input_ids"]) == len(row["labels"])
    counted = [label for label in row["labels"] if label != IGNORED]
    assert tokenizer.decode(counted).rstrip() == CONVERSATION[-1]["content"] + "<|end|>"
    assert tokenizer.decode([i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label == IGNORED]).endswith("assistant\n")
    assert all(label in (IGNORED, i) for i, label in zip(row["input_ids"], row["labels"], strict=True))


def test_padding_is_neither_read_nor_learned(llm):  # noqa: F811
    tokenizer = load_tokenizer(str(llm))
    rows = [encode(CONVERSATION, tokenizer), encode(CONVERSATION[1:], tokenizer)]
    batch = tuning._padded(rows, tokenizer)
    short = len(rows[1]["input_ids"])
    assert batch["attention_mask"].sum(1).tolist() == [len(row["input_ids"]) for row in rows]
    after = batch["input_ids"].shape[1] - short
    assert set(batch["labels"][1, -after:].tolist()) == {IGNORED}


def test_words_that_are_not_predicted_do_not_change_the_loss(llm):  # noqa: F811
    tokenizer, model = load_tokenizer(str(llm)), new_model()
    rows = [encode(CONVERSATION, tokenizer), encode(CONVERSATION[1:], tokenizer)]
    batch = tuning._padded(rows, tokenizer)
    width, kept = batch["input_ids"].shape[1], batch["logits_to_keep"]
    assert kept < width
    short = model(**batch).loss
    left_out = torch.full((2, width - kept), IGNORED)
    whole = model(**{**batch, "labels": torch.cat([left_out, batch["labels"]], 1), "logits_to_keep": 0}).loss
    assert torch.isclose(short, whole, rtol=1e-5)
    assert [label for label in batch["labels"][0].tolist() if label != IGNORED] == [label for label in rows[0]["labels"] if label != IGNORED]


def test_a_fresh_adapter_changes_nothing(llm):  # noqa: F811
    ids = torch.tensor([load_tokenizer(str(llm)).encode("How long is the warranty?")])
    base = new_model()
    with torch.no_grad():
        before = base(input_ids=ids).logits
        model = add_adapter(base).eval()
        assert torch.equal(model(input_ids=ids).logits, before)
    trained, everything = count_parameters(model)
    assert 0 < trained < everything
    assert trained == sum(parameter.numel() for name, parameter in model.named_parameters() if "lora_" in name)


def test_training_lowers_the_loss_and_saves_a_small_adapter(llm, tmp_path):  # noqa: F811
    seen = []
    report = train_adapter([CONVERSATION] * 8, tmp_path / "new" / "adapter", SETTINGS, progress=lambda *step: seen.append(step))
    assert len(report.losses) == 16 and report.losses[-1] < 0.8 * report.losses[0]
    assert seen == [(number, 16, loss) for number, loss in enumerate(report.losses, 1)]
    assert report.bytes == (report.folder / "adapter_model.safetensors").stat().st_size < 5_000_000
    assert json.loads((report.folder / "settings.json").read_text())["seed"] == 0
    assert report.seconds > 0 and report.trained_parameters < report.all_parameters
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["adapter"]

    ids = torch.tensor([encode(CONVERSATION, load_tokenizer(str(llm)))["input_ids"]])
    with torch.no_grad():
        assert not torch.allclose(load_model(report.folder)(input_ids=ids).logits, load_model()(input_ids=ids).logits)


def test_the_adapter_leaves_attention_alone(llm):  # noqa: F811
    trained = [name for name, parameter in add_adapter(new_model()).named_parameters() if parameter.requires_grad]
    assert trained and all(".mlp." in name for name in trained)


def test_full_fine_tuning_trains_every_weight_and_saves_a_whole_model(llm, tmp_path):  # noqa: F811
    report = full_fine_tune([CONVERSATION] * 4, tmp_path / "full", LoraSettings(epochs=4, learning_rate=1e-2, batch_size=4))
    assert report.trained_parameters == report.all_parameters and report.losses[-1] < report.losses[0]
    before, after = new_model().state_dict(), new_model(str(tmp_path / "full")).state_dict()
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(TuningError, match="holds full, which no training wrote"):
        full_fine_tune([CONVERSATION], tmp_path)


def test_the_seed_decides_the_adapter(llm, tmp_path):  # noqa: F811
    settings = LoraSettings(epochs=1, batch_size=2)
    losses = [train_adapter([CONVERSATION, CONVERSATION[1:]] * 3, tmp_path / str(n), settings).losses for n in range(2)]
    assert losses[0] == losses[1]
    assert train_adapter([CONVERSATION, CONVERSATION[1:]] * 3, tmp_path / "other", replace(settings, seed=1)).losses != losses[0]


def test_an_interrupted_save_leaves_the_old_adapter(llm, tmp_path, monkeypatch):  # noqa: F811
    settings = LoraSettings(epochs=1)
    folder = train_adapter([CONVERSATION], tmp_path / "adapter", settings).folder
    old = (folder / "adapter_model.safetensors").read_bytes()

    def interrupted(self, target, **settings):
        target.mkdir()
        (target / "adapter_model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    for target in (folder, tmp_path / "fresh"):
        with monkeypatch.context() as cut:
            cut.setattr("peft.PeftModel.save_pretrained", interrupted)
            with pytest.raises(KeyboardInterrupt):
                train_adapter([CONVERSATION], target, settings)
    assert (folder / "adapter_model.safetensors").read_bytes() == old
    assert not (tmp_path / "fresh").exists()
    assert train_adapter([CONVERSATION], tmp_path / "fresh", settings).bytes > 100


def test_training_never_deletes_what_it_did_not_make(llm, tmp_path):  # noqa: F811
    notes = tmp_path / "my work" / "notes.txt"
    notes.parent.mkdir()
    notes.write_text("precious", encoding="utf-8")
    (notes.parent / "config.json").write_text("{}", encoding="utf-8")
    for train in (train_adapter, full_fine_tune):
        for target in (notes.parent, notes):
            with pytest.raises(TuningError, match="Name a new folder"):
                train([CONVERSATION], target)
    assert notes.read_text(encoding="utf-8") == "precious"


def test_notes_beside_an_adapter_are_not_deleted(llm, tmp_path):  # noqa: F811
    settings = LoraSettings(epochs=1)
    folder = train_adapter([CONVERSATION], tmp_path / "adapter", settings).folder
    assert train_adapter([CONVERSATION], folder, settings).folder == folder, "its own files may be replaced"
    (folder / "notes.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(TuningError, match="holds notes.txt, which no training wrote"):
        train_adapter([CONVERSATION], folder, settings)
    foreign = tmp_path / "work"
    foreign.mkdir()
    (foreign / "report.json").write_text('{"grade": 1}', encoding="utf-8")
    with pytest.raises(TuningError, match="holds report.json"):
        train_adapter([CONVERSATION], foreign, settings)


def test_weights_never_stand_without_their_report(llm, tmp_path, monkeypatch):  # noqa: F811
    """Where they did, no later training would dare to replace them."""

    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(tuning, "_reported", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_adapter([CONVERSATION], tmp_path / "adapter", LoraSettings(epochs=1))
    assert not (tmp_path / "adapter").exists()
    assert load_report(train_adapter([CONVERSATION], tmp_path / "adapter", LoraSettings(epochs=1)).folder).bytes > 100


def test_nothing_to_train_on_is_explained(llm, tmp_path):  # noqa: F811
    with pytest.raises(TuningError, match="no conversations"):
        train_adapter([], tmp_path / "adapter")


GOOD = json.dumps({"messages": CONVERSATION})


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"message": []}',
        '{"messages": []}',
        '{"messages": "hello"}',
        '{"messages": [{"role": "user", "content": "Hi"}]}',
        '{"messages": [{"role": "assistant", "content": 3}]}',
        '{"messages": [{"role": "assistant", "content": "Hi"}]}',
        '{"messages": [{"role": "system", "content": "Be kind."}, {"role": "assistant", "content": "Hi"}]}',
        '{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]}',
        '{"messages": [{"content": "Hi"}, {"role": "assistant", "content": "Hi"}]}',
        '{"messages": [{"role": "custommer", "content": "Hi"}, {"role": "assistant", "content": "Hi"}]}',
    ],
)
def test_a_bad_line_is_named(tmp_path, line):
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(TuningError, match="mine.jsonl, line 2: expected"):
        load_conversations(path)


def test_conversations_are_read_with_any_character_and_blank_lines(tmp_path):
    path = tmp_path / "mine.jsonl"
    odd = [{"role": "user", "content": "one\u2028two"}, {"role": "assistant", "content": "dé"}]
    path.write_text(f"{GOOD}\n\n{json.dumps({'messages': odd}, ensure_ascii=False)}\n\n", encoding="utf-8")
    assert load_conversations(path) == [CONVERSATION, odd]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "windows.jsonl").write_text(f"{GOOD}\n", encoding="utf-8-sig")
    assert load_conversations(tmp_path / "windows.jsonl") == [CONVERSATION]


def test_missing_and_foreign_files_are_explained(tmp_path):
    with pytest.raises(TuningError, match="There is no file"):
        load_conversations(tmp_path / "nowhere.jsonl")
    (tmp_path / "latin.jsonl").write_bytes("é".encode("latin-1"))
    with pytest.raises(TuningError, match="not UTF-8"):
        load_conversations(tmp_path / "latin.jsonl")
