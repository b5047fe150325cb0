"""Each kind of failure, told apart from the ones before it, and the tracer that lists them."""

import re
from dataclasses import replace

import pytest
from fakes import passage, reply
from fixtures import FakeEmbedder

from helpers.failures import FAILURES, failure_kind, trace
from helpers.knowledge import HelpCenter, articles_from
from helpers.scenarios import Ticket, load_facts
from helpers.widgets import FailureTracer, plain_text

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'
FACT = load_facts()["warranty-length"]
ASKED = Ticket("f1", "How long is the warranty?", (FACT,), None, "question")
DANGER = Ticket("d1", "There is smoke.", (), "safety", "hazard")
PLAIN = Ticket("p1", "Is basil nice?", (), None, "question")
UNKNOWN = Ticket("u1", "Do you sell hats?", (), None, "unanswerable")
RIGHT = passage(f"The warranty is {FACT.current}.", FACT.article)
OTHER = passage("Something else.", "contact")
WARM = "Happy to help! {} You're welcome to write back any time."
GOOD = WARM.format(f"It's {FACT.current}. [1]")

CASES = {
    "missed hand-over": (reply("Happy to help."), DANGER),
    "wrong queue": (reply("Passing.\nescalate: legal", queue="legal"), DANGER),
    "needless hand-over": (reply("Passing.\nescalate: legal", queue="legal"), PLAIN),
    "invented an answer": (reply("Yes, green ones.", (OTHER,)), UNKNOWN),
    "from memory": (reply(WARM.format(f"It's {FACT.superseded}.")), ASKED),
    "retrieval missed": (reply(WARM.format(f"It's {FACT.superseded}."), (OTHER,)), ASKED),
    "left out": (replace(reply("I do not know."), left_out=(RIGHT,)), ASKED),
    "old value": (reply(WARM.format(f"It's {FACT.superseded}."), (OTHER, RIGHT)), ASKED),
    "gave up": (reply("I do not know.", (RIGHT,)), ASKED),
    "misread": (reply(WARM.format("It's a plug. [2]"), (RIGHT, OTHER), (OTHER,)), ASKED),
    "voice": (reply(f"It is {FACT.current}.", (RIGHT,)), ASKED),
}


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_of_failure_is_told_apart(kind: str) -> None:
    answered, ticket = CASES[kind]
    failure = trace(answered, ticket)
    assert failure.kind == failure_kind(answered, ticket) == kind and failure.details.endswith(".")


def test_a_resolved_ticket_has_no_failure() -> None:
    assert trace(reply(GOOD, (RIGHT,), (RIGHT,)), ASKED) is None
    assert trace(reply("I'd rather not guess: our help pages don't say. Write back and we'll ask.", (OTHER,)), UNKNOWN) is None


def test_a_quoted_passage_is_neither_honest_nor_giving_up() -> None:
    quoted = passage("If you do not know your order number, look in the app.", "contact")
    answered = reply(WARM.format(f"{quoted.text} [2]"), (RIGHT, quoted), (quoted,))
    assert failure_kind(answered, ASKED) == "misread"
    assert failure_kind(answered, UNKNOWN) == "invented an answer"


def test_an_honest_reply_in_the_wrong_voice_is_not_resolved() -> None:
    assert failure_kind(reply("I do not know.", (OTHER,)), UNKNOWN) == "voice"


def center(tmp_path, text: str) -> HelpCenter:
    articles = articles_from([("Contact", "Write to us. We answer soon. Call us."), (FACT.article, text)])
    help_center = HelpCenter(articles, tmp_path / "index", embedder=FakeEmbedder())
    help_center.sync()
    return help_center


def test_the_details_say_where_the_passage_was(tmp_path) -> None:
    answered = CASES["retrieval missed"][0]
    found = trace(answered, ASKED, center(tmp_path / "with", f"The warranty is {FACT.current}."))
    assert found.kind == "retrieval missed" and re.search(rf"says {FACT.current} is at rank \d+ of the 8 nearest", found.details) and "shown 1 passage;" in found.details
    found = trace(answered, ASKED, center(tmp_path / "without", "The warranty is a secret."))
    assert found.kind == "not in the help centre" and FACT.current in found.details


def test_the_details_name_the_fact_that_is_old() -> None:
    other = replace(FACT, id="other", status="unchanged", current="a plug")
    plug = passage("It is a plug.", FACT.article)
    ticket = replace(ASKED, facts=(other, FACT))
    assert trace(reply(WARM.format(f"It's {FACT.superseded}."), (plug, RIGHT)), ticket).details == f"Passage [2] says {FACT.current}; it said {FACT.superseded}, from memory."


def test_the_details_name_what_was_seen() -> None:
    assert "Today's value is" in trace(*CASES["from memory"]).details and "right once" in trace(*CASES["from memory"]).details
    assert trace(*CASES["old value"]).details == f"Passage [2] says {FACT.current}; it said {FACT.superseded}, from memory."
    assert "it cited [2]" in trace(*CASES["misread"]).details
    assert "the safety team; the bot gave it to the legal team" in trace(*CASES["wrong queue"]).details
    assert trace(*CASES["voice"]).details.startswith("Failed: warm opening")


# The lab


def make_tracer() -> FailureTracer:
    tickets = [ticket for _, ticket in CASES.values()]
    return FailureTracer({"rag": [answered for answered, _ in CASES.values()], "base": [reply("Nothing.")] * len(CASES)}, tickets)


def test_every_kind_and_every_ticket_can_be_opened() -> None:
    tracer = make_tracer()
    for bot, kinds in tracer.counts().items():
        tracer.bot.value = bot
        assert [label for label, _ in tracer.kind.options] == [f"{kind} ({count})" for kind, count in kinds.items()]
        for kind in kinds:
            tracer.kind.value = kind
            assert len(tracer.ticket.options) == kinds[kind]
            for _, ticket in tracer.ticket.options:
                tracer.ticket.value = ticket
                assert FAILURES[kind] in plain_text(tracer.reason.value)
                assert plain_text(tracer.card.value).startswith("Ticket\n")


def test_another_bot_keeps_the_kind_if_it_has_it() -> None:
    tracer = make_tracer()
    tracer.kind.value = "misread"
    tracer.bot.value = "base"
    assert tracer.kind.value == "missed hand-over"
    tracer.kind.value = "from memory"
    tracer.bot.value = "rag"
    assert tracer.kind.value == "from memory"


def test_a_bot_without_failures_says_so() -> None:
    tracer = FailureTracer({"rag": [reply(GOOD, (RIGHT,), (RIGHT,))]}, [ASKED])
    assert "All 1 tickets are resolved" in plain_text(tracer.reason.value) and tracer.ticket.options == ()


def test_the_text_has_every_count() -> None:
    text = make_tracer().as_text()
    assert all(kind in text for kind in CASES) and "1, e.g. d1" in text and "RAG" in text and "base bot" in text


def test_what_a_bot_wrote_is_shown_as_text() -> None:
    tracer = FailureTracer({EVIL: [reply(EVIL, (passage(EVIL),), queue=EVIL)]}, [DANGER])
    assert EVIL in plain_text(tracer.reason.value) and EVIL in plain_text(tracer.card.value)
    assert "<script" not in tracer.card.value + tracer.reason.value and "<img" not in tracer.card.value + tracer.reason.value


def test_replies_and_tickets_must_be_as_many() -> None:
    with pytest.raises(ValueError):
        FailureTracer({"rag": []}, [ASKED])
