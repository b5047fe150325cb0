"""What the base model is trained on: the next token, and two extra losses that speed it up.

Both extras look inside the layers and leave no trace in the shipped model, which
is a plain Llama:

- *meaning*: half-way up, the state at a question's and a passage's last token
  should be nearest to the embedder's vector of that text, among all texts of the
  batch (InfoNCE, van den Oord et al. 2018, arXiv 1807.03748; see ``meaning.py``);
- *choice*: one attention head, two thirds of the way up, should look from the
  place that writes a citation to the end of the passage that answers, or to the
  prompt's beginning if none does.

From the answers alone a model of this size did not learn to choose within 17
million tokens: until it chooses better than chance, every head gets the same
gradient from every passage. Telling one head where to look breaks the tie.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from helpers.base_model.batches import Batch
from helpers.base_model.meaning import WIDTH

HEAD = 0
TEMPERATURE = 0.05


@dataclass(frozen=True)
class Losses:
    """The losses of one batch, each a scalar; 0 where a batch has no such place."""

    language: torch.Tensor
    meaning: torch.Tensor
    choice: torch.Tensor


class Trunk(torch.nn.Module):
    """The model's layers, which also return what the extra losses look at."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.meaning_layer = len(inner.layers) // 2
        self.choice_layer = 2 * len(inner.layers) // 3

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the states (rows x tokens x width) at the end, for meanings and for choices."""
        hidden = self.inner.embed_tokens(ids)
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        mask = torch.full((ids.shape[1], ids.shape[1]), -1e9, device=ids.device).triu(1)[None, None]
        rotary = self.inner.rotary_emb(hidden, position_ids=places)
        states = []
        for layer in self.inner.layers:
            states.append(hidden)
            hidden = layer(hidden, attention_mask=mask, position_embeddings=rotary, position_ids=places)
        return self.inner.norm(hidden), states[self.meaning_layer], states[self.choice_layer]


def losses_of(trunk: torch.nn.Module, model: LlamaForCausalLM, to_meaning: torch.nn.Linear, batch: Batch, meanings: torch.Tensor) -> Losses:
    """Return the three losses of a batch; ``meanings`` is the (rows x 384) table of the stream."""
    with torch.autocast(batch.ids.device.type, dtype=torch.bfloat16):
        hidden, for_meaning, for_choice = trunk(batch.ids)
        logits = model.lm_head(hidden[:, :-1][batch.counted[:, 1:]])
    language = functional.cross_entropy(logits.float(), batch.ids[:, 1:][batch.counted[:, 1:]])
    meaning = choice = language.detach() * 0
    if len(batch.meanings):
        rows, places, numbers = batch.meanings.T
        distinct, right = numbers.unique(return_inverse=True)
        found = functional.normalize(to_meaning(for_meaning[rows, places].float()), dim=-1)
        meaning = functional.cross_entropy(found @ meanings[distinct].float().T / TEMPERATURE, right)
    if len(batch.chosen):
        choice = functional.cross_entropy(choice_scores(model, for_choice.float(), batch), batch.chosen)
    return Losses(language, meaning, choice)


def choice_scores(model: LlamaForCausalLM, states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the head's attention scores (choices x candidates) before the softmax, exactly as the model computes them."""
    layer = model.model.layers[2 * len(model.model.layers) // 3]
    size = layer.self_attn.head_dim
    weight = slice(HEAD * size, (HEAD + 1) * size)
    rows, places = batch.choices.T
    ends = batch.candidates.clamp(min=0)

    def projected(linear: torch.nn.Linear, at: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        cos, sin = model.model.rotary_emb(state, position_ids=at)
        vectors = functional.linear(layer.input_layernorm(state), linear.weight[weight])
        return apply_rotary_pos_emb(vectors[:, None], vectors[:, None], cos, sin)[0].squeeze(1)

    queries = projected(layer.self_attn.q_proj, places[:, None], states[rows, places][:, None])
    keys = projected(layer.self_attn.k_proj, ends, states[rows[:, None], ends])
    scores = (keys * queries).sum(-1) / size**0.5
    return scores.masked_fill(batch.candidates < 0, float("-inf"))
