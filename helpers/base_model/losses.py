"""What the base model is trained on: the next token, and three extra losses that speed it up.

The extras look inside the layers and leave no trace in the shipped model, which
is a plain Llama:

- *meaning*: half-way up, the state at a question's and a passage's last token
  should be as like to each of some thousand texts as the embedder's vector of that
  text is (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748, with the embedder's
  own likenesses as targets, Hinton et al. 2015, arXiv 1503.02531; see ``meaning.py``);
- *likeness*: one attention head, a third of the way up, should look from the
  words of the question to words of the passage that answers, wherever in it;
- *choice*: one attention head, two thirds of the way up, should look from the
  place that writes a citation to the end of the passage that answers, or to the
  prompt's beginning if none does; and the token written there, one among some
  thirty of a reply, counts once more.

From the answers alone a model of this size did not learn to choose within 17
million tokens: until it chooses better than chance, every head gets the same
gradient from every passage. Telling two heads where to look breaks the tie.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from helpers.base_model.batches import Batch

CHOOSING_HEAD = 0
LIKENESS_HEAD = 1
TEMPERATURE = 0.05


@dataclass(frozen=True)
class Losses:
    """The losses of one batch, each a scalar; 0 where a batch has no such place."""

    language: torch.Tensor
    meaning: torch.Tensor
    likeness: torch.Tensor
    choice: torch.Tensor


def meaning_layer(inner: torch.nn.Module) -> int:
    """Return the number of the layer whose input holds the meanings."""
    return len(inner.layers) // 2


def likeness_layer(inner: torch.nn.Module) -> int:
    """Return the number of the layer with the likeness head."""
    return len(inner.layers) // 3


def choice_layer(inner: torch.nn.Module) -> int:
    """Return the number of the layer with the choosing head."""
    return 2 * len(inner.layers) // 3


class Trunk(torch.nn.Module):
    """The model's layers, which also return what the extra losses look at."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the states (rows x tokens x width) at the end, and before the layers of meaning, likeness and choice."""
        hidden = self.inner.embed_tokens(ids)
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        mask = torch.full((ids.shape[1], ids.shape[1]), -1e9, device=ids.device).triu(1)[None, None]
        rotary = self.inner.rotary_emb(hidden, position_ids=places)
        states = []
        for layer in self.inner.layers:
            states.append(hidden)
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, position_ids=places)
        return self.inner.norm(hidden), *(states[at(self.inner)] for at in (meaning_layer, likeness_layer, choice_layer))


def losses_of(trunk: torch.nn.Module, model: LlamaForCausalLM, to_meaning: torch.nn.Linear, batch: Batch, meanings: torch.Tensor, others: torch.Tensor) -> Losses:
    """Return the losses of a batch.

    Args:
        meanings: the (rows x 384) table of the stream.
        others: meanings (texts x 384) to tell those of the batch from.
    """
    with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16):
        hidden, for_meaning, for_likeness, for_choice = trunk(batch.ids)
        logits = model.lm_head(hidden[:, :-1][batch.counted[:, 1:]])
    language = functional.cross_entropy(logits.float(), batch.ids[:, 1:][batch.counted[:, 1:]])
    meaning = likeness = choice = language.detach() * 0
    if len(batch.meanings):
        rows, places, numbers = batch.meanings.T
        texts = torch.cat((meanings[numbers.unique()], others)).float().T / TEMPERATURE
        found = functional.normalize(to_meaning(for_meaning[rows, places].float()), dim=-1)
        meaning = functional.cross_entropy(found @ texts, (meanings[numbers].float() @ texts).softmax(-1))
    if batch.asking.any():
        attended = likeness_scores(model, for_likeness.float()).log_softmax(-1)
        answering = attended.masked_fill(~batch.answering[:, None], float("-inf")).logsumexp(-1)
        likeness = -answering[batch.asking].mean()
    if len(batch.choices):
        rows, places = batch.choices.T
        looks = functional.cross_entropy(choice_scores(model, for_choice.float(), batch.choices), batch.chosen)
        says = functional.cross_entropy(model.lm_head(hidden[rows, places]).float(), batch.ids[rows, places + 1])
        choice = looks + says
    return Losses(language, meaning, likeness, choice)


def likeness_scores(model: LlamaForCausalLM, states: torch.Tensor) -> torch.Tensor:
    """Return the likeness head's attention scores (rows x tokens x tokens) before the softmax, as the model computes them."""
    return _scores(model, model.model.layers[likeness_layer(model.model)], LIKENESS_HEAD, states)


def choice_scores(model: LlamaForCausalLM, states: torch.Tensor, choices: torch.Tensor) -> torch.Tensor:
    """Return the choosing head's attention scores (choices x tokens) before the softmax, as the model computes them."""
    rows, places = choices.T
    return _scores(model, model.model.layers[choice_layer(model.model)], CHOOSING_HEAD, states)[rows, places]


def _scores(model: LlamaForCausalLM, layer: torch.nn.Module, head: int, states: torch.Tensor) -> torch.Tensor:
    attention = layer.self_attn
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    normed = layer.input_layernorm(states)
    queries, keys = (functional.linear(normed, linear.weight[rows])[:, None] for linear in (attention.q_proj, attention.k_proj))
    places = torch.arange(states.shape[1], device=states.device)[None]
    queries, keys = (vectors.squeeze(1) for vectors in apply_rotary_pos_emb(queries, keys, *model.model.rotary_emb(states, position_ids=places)))
    later = torch.ones(states.shape[1], states.shape[1], dtype=torch.bool, device=states.device).triu(1)
    return (queries @ keys.transpose(1, 2) / attention.head_dim**0.5).masked_fill(later, -1e9)
