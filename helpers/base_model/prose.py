"""Plain English sentences from the documentation of the installed packages.

The base model needs to meet ordinary prose, and a fresh machine has no corpus.
The docstrings and README files of the pinned, permissively licensed packages
hold tens of thousands of sentences, so we take those.
"""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

PERMISSIVE = re.compile(r"\b(?:mit|bsd|apache|psf|python software|isc|hpnd)\b", re.IGNORECASE)
OURS = "rag-or-fine-tuning"
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
PLAIN_WORD = re.compile(r"^[A-Za-z][a-z]*(?:['-][a-z]+)?$|^[AI]$|^\d{1,4}$")


def sentences(low: int = 4, high: int = 20) -> list[str]:
    """Return the distinct plain sentences of ``low`` to ``high`` words, sorted.

    Sorted order makes the result independent of the file system, so that the
    training stream depends on the seed and the installed packages alone.
    """
    found: set[str] = set()
    for text in _documentation():
        for sentence in SENTENCE.split(" ".join(text.split())):
            if is_plain(sentence, low, high):
                found.add(sentence)
    return sorted(found)


def is_plain(sentence: str, low: int = 4, high: int = 20) -> bool:
    """True for a sentence of ordinary words, commas and a full stop."""
    if not sentence.endswith(".") or not sentence[:1].isupper() or not sentence.isascii():
        return False
    words = sentence[:-1].replace(",", "").split()
    if not low <= len(words) <= high:
        return False
    return all(PLAIN_WORD.match(word) for word in words)


def _documentation() -> Iterator[str]:
    for package in distributions():
        named = [package.metadata.get("License-Expression", ""), package.metadata.get("License", "").partition("\n")[0]]
        named += [line for line in package.metadata.get_all("Classifier") or [] if line.startswith("License ::")]
        if package.name == OURS or not PERMISSIVE.search(" ".join(named)):
            continue
        yield from re.split(r"\n\s*\n", package.metadata.get_payload() or "")
        for file in package.files or []:
            if file.suffix == ".py":
                yield from _docstrings(Path(package.locate_file(file)))


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield from re.split(r"\n\s*\n", text)
