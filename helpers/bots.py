"""The support bot: a language model, with or without a help centre and an adapter."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable

from helpers.knowledge import HelpCenter, Passage
from helpers.models import ChatModel, llm_name, load_model, load_tokenizer
from helpers.prompts import says_unknown, with_passages

CITATION = re.compile(r"\[(\d+)\]")
ESCALATION = re.compile(r"^escalate: ([a-z]+)$", re.MULTILINE)
LONGEST_QUESTION = 300
PASSAGES = 2
LEAST_SCORE = 0.08
LEAST_SHARE = 0.35
SURE_SCORE = 0.35


class BotError(Exception):
    """A question that the bot cannot take; the message says what to do."""


@dataclass(frozen=True)
class Reply:
    """What the bot wrote, and what can be read off it.

    ``citations`` are the passages that the reply cites, ``passages`` all that the bot
    was shown, ``left_out`` those that were found and scored too low to be shown. ``queue`` names the team of a hand-over. ``seconds`` is the time
    from question to reply (the mean, for a batch).
    """

    question: str
    text: str
    citations: tuple[Passage, ...]
    passages: tuple[Passage, ...]
    escalated: bool
    queue: str | None
    seconds: float
    left_out: tuple[Passage, ...] = ()

    @property
    def found(self) -> tuple[Passage, ...]:
        """All that the search brought, shown or not; empty for a bot that looks nothing up."""
        return self.passages + self.left_out


class SupportBot:
    """One of the course's five bots, by what it is given.

    Args:
        system_prompt: instructions for every reply (the prompt-only arm).
        help_center: where to retrieve passages (RAG).
        adapter: folder of a LoRA adapter (fine-tuned); True for the course's
            own, which is trained at first use and then kept.
        k: how many passages to retrieve.
        least_score: a passage that scores lower is not shown to the model, nor one far behind the best (see ``likely``). With none left the prompt says that nothing was found.
    """

    def __init__(
        self,
        system_prompt: str | None = None,
        help_center: HelpCenter | None = None,
        adapter: str | Path | bool | None = None,
        k: int = PASSAGES,
        least_score: float = LEAST_SCORE,
    ) -> None:
        if adapter is True:
            from helpers.tuning import course_adapter

            adapter = course_adapter()
        self.system_prompt, self.help_center, self.k, self.least_score = system_prompt, help_center, k, least_score
        self.adapter = Path(adapter) if adapter else None
        self.model = ChatModel(load_model(self.adapter), load_tokenizer(llm_name()))

    @property
    def chain(self) -> Runnable:
        """The LangChain chain from the user's message to the reply's text."""
        messages = [("system", "{system_prompt}")] if self.system_prompt else []
        prompt = ChatPromptTemplate.from_messages([*messages, ("user", "{message}")])
        return prompt.partial(system_prompt=self.system_prompt or "") | self.model | StrOutputParser()

    def ask(self, question: str) -> Reply:
        """Answer one customer.

        Raises:
            BotError: the question is empty or far too long.
        """
        return self.ask_all([question])[0]

    def ask_all(self, questions: Sequence[str]) -> list[Reply]:
        """Answer many customers; the same answers as ``ask``, in less time."""
        questions = [_checked(question) for question in questions]
        if not questions:
            return []
        begin = time.perf_counter()
        found = self.help_center.search_all(questions, self.k) if self.help_center else [[]] * len(questions)
        shown = [likely(passages, self.least_score) for passages in found]
        messages = [
            with_passages(question, [(p.heading, p.text) for p in passages], is_sure(passages)) if brought else question
            for question, brought, passages in zip(questions, found, shown, strict=True)
        ]
        texts = self.chain.batch([{"message": message} for message in messages])
        seconds = (time.perf_counter() - begin) / len(questions)
        left_out = [[p for p in passages if p not in seen] for passages, seen in zip(found, shown, strict=True)]
        return [_reply(*row, seconds) for row in zip(questions, texts, shown, left_out, strict=True)]


def likely(passages: Sequence[Passage], least_score: float = LEAST_SCORE) -> list[Passage]:
    """Return the passages, of those that stand best first, that are likely enough to be shown; with a ``least_score`` of 0 all.

    One with less than ``LEAST_SHARE`` of the best one's score only distracts from it.
    """
    if not least_score:
        return list(passages)
    return [p for p in passages if p.score >= max(least_score, LEAST_SHARE * passages[0].score)]


def is_sure(passages: Sequence[Passage]) -> bool:
    """Return whether the search is sure enough of the best of these passages for the reader to trust it."""
    return bool(passages) and passages[0].score >= SURE_SCORE


def _checked(question: str) -> str:
    question = " ".join(question.split())
    if not question:
        raise BotError("The ticket is empty. Type what a customer would write.")
    if len(question.split()) > LONGEST_QUESTION:
        raise BotError(f"The ticket has {len(question.split())} words; the bot reads up to {LONGEST_QUESTION}. Keep the part that asks something.")
    return question


def _reply(question: str, text: str, passages: Sequence[Passage], left_out: Sequence[Passage], seconds: float) -> Reply:
    numbers = dict.fromkeys(int(n) for n in CITATION.findall(text))
    cited = () if says_unknown(text, [p.text for p in passages]) else tuple(passages[n - 1] for n in numbers if 1 <= n <= len(passages))
    handed = ESCALATION.search(text)
    return Reply(question, text, cited, tuple(passages), handed is not None, handed.group(1) if handed else None, seconds, tuple(left_out))
