"""RAG or fine-tuning? The helpers behind the notebooks."""

import sys
from importlib import import_module

# jsonschema, which Chroma brings, would spend two seconds on a grammar for a kind of address that nothing here checks.
sys.modules.setdefault("rfc3987_syntax", None)

__all__ = ["HelpCenter", "Reply", "SupportBot"]

_MODULES = {"HelpCenter": "helpers.knowledge", "Reply": "helpers.bots", "SupportBot": "helpers.bots"}


def __getattr__(name: str) -> object:
    """Import a public class at first use, so that ``python -m helpers check`` runs when a package is missing."""
    if name not in _MODULES:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
