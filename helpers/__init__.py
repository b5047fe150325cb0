"""RAG or fine-tuning? The helpers behind the notebooks."""

from importlib import import_module

__all__ = ["HelpCenter", "Reply", "SupportBot"]

_MODULES = {"HelpCenter": "helpers.knowledge", "Reply": "helpers.bots", "SupportBot": "helpers.bots"}


def __getattr__(name: str) -> object:
    """Import a public class at first use, so that ``python -m helpers check`` runs when a package is missing."""
    if name not in _MODULES:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
