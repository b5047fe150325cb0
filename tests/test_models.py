"""Models, tokenizers and adapters load or say what is wrong."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import build_llm, llm, llm_folder, own_workspace  # noqa: F401
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.prompt_values import ChatPromptValue
from safetensors.torch import load_file, save_file

from helpers import models
from helpers.base_model import companies as companies_module
from helpers.base_model.companies import is_held_out
from helpers.base_model.retrieval import pairs_of
from helpers.knowledge import PassageEmbeddings
from helpers.models import ChatModel, ModelError, embedder_folder, load_embedder, load_model, load_tokenizer, new_model, published_embedder
from helpers.paths import RETRIEVAL_ADAPTER
from helpers.tuning import LoraSettings, add_adapter, kept_adapter


@pytest.fixture
def adapter(llm, tmp_path):  # noqa: F811
    """An adapter that changes something, without any training."""
    model = add_adapter(new_model())
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.5)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def chat(model, tokenizer) -> ChatModel:
    return ChatModel(model, tokenizer)


def prompt(text: str) -> ChatPromptValue:
    return ChatPromptValue(messages=[HumanMessage(text)])


def test_an_adapter_is_loaded_and_the_shared_base_stays_as_it_was(adapter, llm):  # noqa: F811
    ids = torch.tensor([load_tokenizer(str(llm)).encode("How long is the warranty?")])
    with torch.no_grad():
        before = load_model()(input_ids=ids).logits
        changed = load_model(adapter)(input_ids=ids).logits
        after = load_model()(input_ids=ids).logits
    assert torch.equal(before, after)
    assert not torch.allclose(before, changed)


def test_a_missing_adapter_is_explained(llm, tmp_path):  # noqa: F811
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ModelError, match="There is no adapter in .* adapter=True"):
            load_model(folder)


def damage_weights(folder):
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])


def damage_config(folder):
    (folder / "adapter_config.json").write_text("{ half a file", encoding="utf-8")


def damage_shapes(folder):
    weights = folder / "adapter_model.safetensors"
    save_file({name: torch.zeros(3, 3) for name in load_file(weights)}, weights)


def damage_targets(folder):
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "target_modules": ["of_another_model"]}), encoding="utf-8")


@pytest.mark.parametrize("damage", [damage_weights, damage_config, damage_shapes, damage_targets])
def test_a_damaged_adapter_is_explained(adapter, damage):
    damage(adapter)
    with pytest.raises(ModelError, match="cannot be loaded .* Delete that folder and train it again"):
        load_model(adapter)


def test_an_adapter_trained_anew_in_the_same_folder_is_loaded(adapter, llm):  # noqa: F811
    ids = torch.tensor([load_tokenizer(str(llm)).encode("How long is the warranty?")])
    with torch.no_grad():
        first = load_model(adapter)(input_ids=ids).logits
        model = add_adapter(new_model())
        model.save_pretrained(adapter)
        second = load_model(adapter)(input_ids=ids).logits
    assert not torch.allclose(first, second)


def test_a_chat_template_without_a_system_prompt_is_explained(llm):  # noqa: F811
    tokenizer = copy.deepcopy(load_tokenizer(str(llm)))
    tokenizer.chat_template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + tokenizer.chat_template
    bot = chat(load_model(), tokenizer)
    bot.invoke(prompt("How long?"))
    with pytest.raises(ModelError, match="System role not supported.*Leave out the system prompt"):
        bot.invoke(ChatPromptValue(messages=[SystemMessage("Be kind."), HumanMessage("How long?")]))


def test_weights_that_do_not_fit_their_settings_are_explained(llm, tmp_path, monkeypatch):  # noqa: F811
    folder = shutil.copytree(llm, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": config["vocab_size"] + 7}))
    with pytest.raises(ModelError, match="There is no language model at .*model.* unset COURSE_LLM"):
        new_model(str(folder))


def test_a_missing_embedder_is_explained(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_EMBEDDER", str(tmp_path / "none"))
    with pytest.raises(ModelError, match="There is no embedder at .*none.* unset it"):
        published_embedder()


def test_damaged_files_of_the_embedder_are_explained(tmp_path, monkeypatch):
    folder = shutil.copytree(embedder_folder(), tmp_path / "model")
    monkeypatch.setattr(models, "embedder_folder", lambda: folder)
    weights = folder / "model.safetensors"
    for damaged in (weights.read_bytes()[:2000], b""):
        weights.write_bytes(damaged)
        with pytest.raises(ModelError, match="embedder in .* cannot be read .* pip install --force-reinstall"):
            load_embedder(tmp_path / "adapter")
    weights.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        load_embedder(tmp_path / "adapter")


def test_a_missing_model_is_explained_even_with_an_adapter(adapter, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LLM", str(tmp_path / "no-model"))
    for name in (None, adapter):
        with pytest.raises(ModelError, match="There is no language model at .*no-model.* unset COURSE_LLM"):
            load_model(name)
    with pytest.raises(ModelError, match="There is no language model"):
        load_tokenizer(str(tmp_path / "no-model"))


def test_a_half_copied_model_says_how_to_get_it_back(llm, tmp_path):  # noqa: F811
    folder = shutil.copytree(llm, tmp_path / "half")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(ModelError, match="git checkout -- data/models if it is damaged"):
        new_model(str(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"])
def test_an_adapter_is_not_kept_for_a_model_that_changed(llm, tmp_path, monkeypatch, name):  # noqa: F811
    trained = []
    monkeypatch.setattr("helpers.tuning.train_adapter", lambda conversations, folder, settings, progress: trained.append(folder))
    monkeypatch.setenv("COURSE_LLM", str(shutil.copytree(llm, tmp_path / "copy")))
    first = kept_adapter("mine", [], LoraSettings())
    assert kept_adapter("mine", [], LoraSettings()) == first
    with (tmp_path / "copy" / name).open("ab") as file:
        file.write(b" ")
    assert kept_adapter("mine", [], LoraSettings()) != first


def test_a_model_without_a_chat_template_is_explained(llm, tmp_path):  # noqa: F811
    folder = shutil.copytree(llm, tmp_path / "plain")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load_tokenizer(str(folder))


def test_batches_give_the_same_replies_as_single_prompts(llm):  # noqa: F811
    model = chat(load_model(), load_tokenizer(str(llm)))
    prompts = [prompt(text) for text in ("Hi", "How long is the warranty of my garden?", "Where is my parcel? " * 20, "Hi")]
    replies = [message.content for message in model.batch(prompts)]
    assert replies == [model.invoke(value).content for value in prompts]
    assert replies[0] == replies[3] and len(set(replies)) > 1


def test_a_prompt_that_does_not_fit_is_explained(llm):  # noqa: F811
    with pytest.raises(ModelError, match="reads up to 900. Shorten"):
        chat(load_model(), load_tokenizer(str(llm))).invoke(prompt("How long is the warranty? " * 400))


def test_the_embedder_is_the_published_one_and_finds_meaning():
    assert (embedder_folder() / "model.safetensors").exists()
    embedder = load_embedder()
    money, refund, basil = embedder.embed_documents(["I want my money back", "How do I get a refund?", "My basil has yellow leaves"])
    assert len(money) == 384 and sum(x * x for x in money) == pytest.approx(1.0, abs=1e-4)
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    assert dot(money, refund) > dot(money, basil) + 0.2


def test_the_adapter_finds_more_answers_of_companies_that_it_never_saw():
    companies = [company for company in companies_module.load() if is_held_out(company.name)][:4]
    found = {}
    for embedder in (published_embedder(), load_embedder()):
        for pairs in map(pairs_of, companies):
            passages = PassageEmbeddings(embedder).embed_documents(pairs.in_context)
            best = (np.array(embedder.embed_documents(pairs.questions)) @ np.array(passages).T).argmax(1)
            found.setdefault(embedder.model_name, []).extend(best == pairs.answers)
    before, after = (np.mean(hits) for hits in found.values())
    assert after > before + 0.03


@pytest.mark.parametrize("damage", [lambda weights: weights.write_bytes(b"x" * 9000), Path.unlink])
def test_a_damaged_adapter_of_the_embedder_says_how_to_get_it_back(tmp_path, damage):
    folder = shutil.copytree(RETRIEVAL_ADAPTER, tmp_path / "retrieval-adapter")
    damage(folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="git checkout -- data/models"):
        load_embedder(folder)
