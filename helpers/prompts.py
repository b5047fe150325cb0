"""What the model is shown: the one place where prompts are worded."""

import re
from collections.abc import Iterable, Sequence

UNKNOWN = "I do not know."
ADMITS = re.compile(r"(?<!\byou )\b(?:do not|don't) know\b|\bhelp (?:pages?|centre|center) (?:do not|don't|does not|doesn't) (?:say|mention)\b")
NOTHING_FOUND = "(No help page answers this.)"
UNSURE = "(Perhaps a help page answers this.)"


def with_passages(question: str, passages: Sequence[tuple[str, str]], sure: bool = True) -> str:
    """Return the user message of a RAG prompt.

    The question comes last, next to where the reply begins. The number stands
    on both sides of a passage: in front of it, it leads from the source that the
    reply names to the words that follow there; behind it, it marks what has just
    been read. The title stands behind the words that a reply may quote. Where the
    search found nothing that answers, or is not sure of it, the prompt says so.

    Args:
        question: the customer's words.
        passages: (article title, text) pairs, best first.
        sure: whether the search is sure of the best one.
    """
    doubt = doubt_of_search(bool(passages), sure)
    lines = [doubt] if doubt else []
    lines += [f"{cited(i, text)} ({title}) [{i}]" for i, (title, text) in enumerate(passages, 1)]
    return "\n".join([*lines, "", question])


def doubt_of_search(found: bool, sure: bool) -> str:
    """Return the line that says how far the search is to be trusted; empty where it is sure.

    Args:
        found: whether a passage is shown at all.
        sure: whether the search is sure of the best one.
    """
    if not found:
        return NOTHING_FOUND
    return "" if sure else UNSURE


def cited(number: int, text: str) -> str:
    """Return what a reply quotes: the passage's number, then its words."""
    return f"[{number}] {text}"


def says_unknown(text: str, quoted: Iterable[str] = ()) -> bool:
    """True if the reply admits that the answer is not known, or that the help pages do not say. "If you don't know ..." admits nothing.

    Args:
        text: what the bot wrote.
        quoted: the passages that it was shown; where the reply copies one of them, those are not its own words.
    """
    own = _plain(text)
    # Only passages with such a phrase are left out: the passage "No" would cut "know" in two.
    for passage in filter(says_unknown, quoted):
        own = own.replace(_plain(passage), "")
    return ADMITS.search(own) is not None


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("\u2019", "'").split())
