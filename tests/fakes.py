"""Stand-ins for tests that look at what is shown, not at what a model writes."""

from helpers.bots import Reply
from helpers.knowledge import Passage


WARRANTY = "Every garden comes with a warranty of three years."


def passage(text: str = WARRANTY, article: str = "warranty", heading: str = "How long is the warranty?", score: float = 0.83) -> Passage:
    return Passage(text, article, "Warranty", heading, score)


def reply(text: str, passages: tuple[Passage, ...] = (), cited: tuple[Passage, ...] = (), queue: str | None = None, question: str = "A question?") -> Reply:
    return Reply(question, text, cited, passages, queue is not None, queue, 0.1)


class FakeBot:
    """Answers every ticket with one text and remembers what it was asked."""

    def __init__(self, text: str = "An answer.", error: Exception | None = None) -> None:
        self.text, self.error, self.asked = text, error, []

    def ask(self, question: str) -> Reply:
        self.asked.append(question)
        if self.error:
            raise self.error
        return reply(self.text, question=question)
