"""RAG or fine-tuning? The helpers behind the notebooks."""

from helpers.bots import Reply, SupportBot
from helpers.knowledge import HelpCenter

__all__ = ["HelpCenter", "Reply", "SupportBot"]
