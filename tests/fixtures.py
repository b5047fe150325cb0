"""What several test modules share: a fast embedder, tiny models, replies made by hand."""

import re
import zlib
from pathlib import Path

import pytest
import torch
from langchain_core.embeddings import Embeddings
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from helpers.base_model.tokenizer import train as train_tokenizer
from helpers.bots import Reply, _reply
from helpers.knowledge import Passage
from helpers.paths import HELP_CENTER
from helpers.reranker import Reranker

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ARCHITECTURES = {
    "qwen2": {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1100},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 1100},
}


class FakeEmbedder(Embeddings):
    """Bags of words as vectors; counts the texts that it embeds, and can fail half-way."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.embedded: list[str] = []
        self.fail_after = fail_after

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.fail_after is not None and len(self.embedded) + len(texts) > self.fail_after:
            raise RuntimeError("the power went out")
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    @staticmethod
    def _vector(text: str) -> list[float]:
        vector = [0.01] * 256
        for word in re.findall(r"[a-z0-9]+", text.lower()):
            vector[zlib.crc32(word.encode()) % 256] += 1.0
        return vector


class FakeReranker(Reranker):
    """Says that a passage answers if it shares more words with the question than the half."""

    def __init__(self) -> None:
        super().__init__(None)
        self.read: list[tuple[str, str]] = []

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        self.read += text_pairs
        words = [[set(re.findall(r"[a-z0-9]+", text.lower())) for text in pair] for pair in text_pairs]
        return [20.0 * (len(asked & shown) / len(asked) - 0.5) for asked, shown in words]


def build_llm(architecture: str, folder: Path) -> Path:
    """Write a tiny untrained model of another architecture, with a chat template of its own."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((HELP_CENTER / "first").glob("*.md"))]
    tokenizer = train_tokenizer(texts, 700)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    set_seed(1)
    config = AutoConfig.for_model(
        architecture, vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **ARCHITECTURES[architecture]
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5 if parameter.ndim == 2 else 1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give every test a learner's folder of its own."""
    folder = tmp_path / "workspace"
    monkeypatch.setenv("COURSE_WORKSPACE", str(folder))
    monkeypatch.delenv("COURSE_EMBEDDER", raising=False)
    return folder


@pytest.fixture(scope="session", params=sorted(ARCHITECTURES))
def llm_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llm(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def llm(llm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The course runs on a tiny model of another architecture."""
    monkeypatch.setenv("COURSE_LLM", str(llm_folder))
    monkeypatch.setattr("helpers.models.LONGEST_REPLY", 24)
    return llm_folder


def passage(article: str, text: str) -> Passage:
    return Passage(text, article, article.capitalize(), article.capitalize(), 0.9)


def reply(text: str, *passages: Passage) -> Reply:
    """A reply as the bot would parse it from the model's text."""
    return _reply("a question", text, passages, (), 0.1)
