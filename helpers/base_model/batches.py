"""Examples of the stream as padded batches of token ids, with the places that the extra losses look at."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from helpers.base_model.meaning import NO_MEANING
from helpers.base_model.stream import Example, Stream
from helpers.base_model.tokenizer import CITATIONS

POOL = 12
BEGINNING = 0


@dataclass(frozen=True)
class Encoded:
    """One example as token ids.

    ``asked`` is where the question begins, ``start`` where the answer does.
    ``spans`` are the first and the last place of each passage, its two numbers.
    ``choices`` are (place that writes a citation, place of the end of the cited
    passage, or of the prompt's beginning if no passage answers). ``meanings``
    are (place, row of the meaning that the layers below should hold there).
    """

    ids: list[int]
    asked: int
    start: int
    spans: list[tuple[int, int]]
    gold: tuple[int, ...]
    choices: list[tuple[int, int]]
    meanings: list[tuple[int, int]]


@dataclass(frozen=True)
class Batch:
    """Token ids (rows x tokens), which tokens count in the loss, and the places of the extra losses.

    ``choices`` (choices x 2) holds row and place of each choice, ``chosen`` the
    place that it should look at. ``meanings`` (meanings x 3) holds row, place and
    number of the meaning. ``answering`` and ``asking`` (rows x tokens) mark the
    passages that answer, and the questions that have one.
    """

    ids: torch.Tensor
    counted: torch.Tensor
    choices: torch.Tensor
    chosen: torch.Tensor
    meanings: torch.Tensor
    answering: torch.Tensor
    asking: torch.Tensor

    def to(self, device: str) -> "Batch":
        """Return the batch on ``device``."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


class Batches(Dataset):
    """Pools of batches by number, sorted by length within a pool so that little is padding."""

    def __init__(self, stream: Stream, tokenizer: PreTrainedTokenizerFast, size: int, rest_share: float, seed: int, first: int = 0) -> None:
        self.stream, self.tokenizer, self.first = stream, tokenizer, first
        self.size, self.rest_share, self.seed = size, rest_share, seed
        self.special = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("system", "user", "assistant", "end")}
        self.numbers = {tokenizer.convert_tokens_to_ids(text): number for number, text in enumerate(CITATIONS, 1)}

    def encode(self, example: Example) -> Encoded:
        """Return the example as the chat template renders it."""
        system = [self.special["system"], *self.tokenizer.encode(example.system), self.special["end"]] if example.system else []
        prompt = [*system, self.special["user"], *self.tokenizer.encode(example.prompt), self.special["end"], self.special["assistant"]]
        answer = [*self.tokenizer.encode(example.answer), self.special["end"]]
        start = len(prompt)
        asked = start - 2 - len(self.tokenizer.encode(example.prompt.rpartition("\n\n")[2]))
        places = [place for place, token in enumerate(prompt[:asked]) if token in self.numbers]
        spans = list(zip(places[::2], places[1::2], strict=True))
        ends = [end for _, end in spans]
        writes = [start + i - 1 for i, token in enumerate(answer) if token in self.numbers]
        if example.gold:
            choices = [(place, ends[number - 1]) for place, number in zip(writes, example.gold, strict=True)]
        else:
            choices = [(start - 1, BEGINNING)] if spans else []
        meanings = [(start - 3, example.asked), (start - 1, example.asked), *zip(ends, example.shown, strict=True)]
        return Encoded(prompt + answer, asked, start, spans, example.gold, choices, [(place, row) for place, row in meanings if row != NO_MEANING])

    def __getitem__(self, number: int) -> list[Batch]:
        """Return the batches of pool ``number``, numbers ``POOL * number`` and on."""
        first = self.first + number * self.size * POOL
        encoded = sorted((self.encode(self.stream.example(first + i)) for i in range(self.size * POOL)), key=lambda e: len(e.ids))
        rows = [encoded[i : i + self.size] for i in range(0, len(encoded), self.size)]
        random.Random(f"{self.seed}-order-{number}").shuffle(rows)
        return [self._padded(part, POOL * number + place) for place, part in enumerate(rows)]

    def from_step(self, step: int, workers: int) -> Iterator[Batch]:
        """Return the batches from number ``step`` on, without end; ``workers`` processes make them, or this one if there are none."""
        pools = DataLoader(self, batch_size=None, sampler=itertools.count(step // POOL), num_workers=workers)
        return itertools.islice(itertools.chain.from_iterable(pools), step % POOL, None)

    def _padded(self, rows: list[Encoded], step: int) -> Batch:
        width = 8 * math.ceil(max(len(row.ids) for row in rows) / 8)
        ids = torch.full((len(rows), width), self.tokenizer.pad_token_id)
        counted, answering, asking = (torch.zeros((len(rows), width), dtype=torch.bool) for _ in range(3))
        rest = torch.rand((len(rows), width), generator=torch.Generator().manual_seed(step)) < self.rest_share
        for number, row in enumerate(rows):
            ids[number, : len(row.ids)] = torch.tensor(row.ids)
            counted[number, 1 : row.start] = rest[number, 1 : row.start]
            counted[number, row.start : len(row.ids)] = True
            asking[number, row.asked : row.start - 2] = bool(row.gold)
            for passage, (first, last) in enumerate(row.spans, 1):
                answering[number, first : last + 1] = passage in row.gold
        choices = [(number, place, end) for number, row in enumerate(rows) for place, end in row.choices]
        meanings = [(number, place, meaning) for number, row in enumerate(rows) for place, meaning in row.meanings]
        return Batch(
            ids,
            counted,
            torch.tensor([choice[:2] for choice in choices], dtype=torch.long).reshape(-1, 2),
            torch.tensor([choice[2] for choice in choices], dtype=torch.long),
            torch.tensor(meanings, dtype=torch.long).reshape(-1, 3),
            answering,
            asking,
        )
