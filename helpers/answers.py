"""Read what a learner answered: the same word, number or list in many spellings."""

import math
import re
from collections.abc import Mapping
from numbers import Real

TOOLS = {
    "rag": ("rag", "retrieval", "rag only"),
    "lora": ("lora", "fine tuned", "fine tuning", "finetuned", "finetuning", "finetune", "fine tune", "ft", "fine tuned only", "adapter"),
    "hybrid": ("hybrid", "both", "rag and fine tuning", "rag and lora", "fine tuning and rag"),
    "prompt": ("prompt", "prompt only", "system prompt"),
    "base": ("base", "base bot", "neither", "none"),
}
DIAGNOSES = {
    "facts": ("facts", "fact", "knowledge"),
    "behaviour": ("behaviour", "behavior", "voice", "habit", "habits"),
    "both": ("both", "facts and behaviour", "behaviour and facts", "facts and behavior"),
}


GROUPED = re.compile(r"[+-]?\d{1,3}(?:[, _']\d{3})+(?:\.\d+)?")


def words(answer: object) -> str:
    """Return ``answer`` in lower case, with single spaces and no punctuation around words."""
    return " ".join(re.sub(r"[^\w\s]|_", " ", str(answer).lower().replace("+", " and ").replace("&", " and ")).split())


def meant(answer: object, spellings: Mapping[str, tuple[str, ...]]) -> str | None:
    """Return the key that ``answer`` is a spelling of, or None."""
    said = words(answer)
    return next((key for key, forms in spellings.items() if said in forms), None)


def number(answer: object) -> float | None:
    """Return ``answer`` as a number: 7552, 7552.0, "7,552" and "7 552" are one. None if it is none, or may be another: "0,5"."""
    if isinstance(answer, bool) or not isinstance(answer, (Real, str)):
        return None
    text = str(answer).strip()
    if GROUPED.fullmatch(text):
        text = re.sub(r"[, _']", "", text)
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def as_list(answer: object) -> list | None:
    """Return a list, tuple, set, dictionary's values or comma-separated text as a list; None for anything else."""
    if isinstance(answer, str):
        return [part.strip() for part in answer.strip(" []()").split(",") if part.strip()]
    if isinstance(answer, Mapping):
        return list(answer.values())
    return list(answer) if isinstance(answer, (list, tuple, set, frozenset)) else None


def compared(answer: object, right: Mapping[str, str], spellings: Mapping[str, tuple[str, ...]]) -> str:
    """Compare answers to several items with the right ones; return what is wrong in words, or nothing.

    Args:
        answer: a dictionary by item, or the answers in the items' order.
        right: item -> key of ``spellings``.
    """
    if isinstance(answer, Mapping):
        given = {words(key): value for key, value in answer.items()}
        unknown = [str(key) for key in answer if words(key) not in {words(item) for item in right}]
        if unknown:
            return f"There is no item called {', '.join(unknown)}. The items are {', '.join(right)}."
    else:
        listed = None if isinstance(answer, (set, frozenset)) else as_list(answer)  # a set has no order
        if listed is None or len(listed) != len(right):
            found = "something else" if listed is None else f"{len(listed)}"
            return f"Expected {len(right)} answers in this order: {', '.join(right)}. Found {found}."
        given = {words(item): value for item, value in zip(right, listed, strict=True)}
    problems = []
    for item, wanted in right.items():
        if words(item) not in given:
            problems.append(f"{item} has no answer yet.")
        elif (found := meant(given[words(item)], spellings)) is None:
            problems.append(f"{item}: {given[words(item)]!r} is not one of {', '.join(spellings)}.")
        elif found != wanted:
            problems.append(f"{item} is not {found}.")
    return " ".join(problems)
