"""What the model is shown: the one place where prompts are worded."""

from collections.abc import Sequence

UNKNOWN = "I do not know."


def with_passages(question: str, passages: Sequence[tuple[str, str]]) -> str:
    """Return the user message of a RAG prompt.

    The question comes first: a causal model reads from left to right, so only
    then does it know, while it reads a passage, what it is looking for. The
    number stands on both sides of a passage, so that whoever copies the passage
    copies its source along.

    Args:
        question: the customer's words.
        passages: (article title, text) pairs, best first.
    """
    lines = [f"[{i}] {title}: {text} [{i}]" for i, (title, text) in enumerate(passages, 1)]
    return "\n".join([question, "", *lines])


def says_unknown(text: str) -> bool:
    """True if the reply admits that the answer is not known (voice.md lists the phrases)."""
    lowered = text.lower().replace("\u2019", "'")
    return any(phrase in lowered for phrase in ("do not know", "don't know", "help pages don't say"))
