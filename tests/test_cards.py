"""What a learner reads in a card: right states, right words, and nothing that runs."""

import re
from dataclasses import replace

import pytest
from fakes import passage, reply

from helpers.bots import BotError
from helpers.cards import answers_card, error_card, notice_card, plain_text, reply_card, verdict
from helpers.scenarios import Fact, Ticket

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'
FACT = Fact("warranty-length", "warranty", "changed", "two years", "three years", None, None, "The warranty is {value}.", ())
ASKS = Ticket("t1", "How long is the warranty?", (FACT,), None, "question")
SHOCK = Ticket("t2", "The plug gave me a shock.", (), "safety", "escalation")
UNKNOWN = Ticket("t3", "Do you sell hats?", (), None, "unanswerable")
WARM = "Happy to help! It's {} years. Write back if you'd like more."


def row(card: str, section: str) -> str:
    """Return the lines of one section of a card."""
    names = ["Ticket", "Reply", "Facts", "Passages", "Voice", "Escalation", "Verdict", None]
    text = plain_text(card) + "\n"
    tail = text.split(f"{section}\n", 1)[1]
    following = names[names.index(section) + 1]
    return tail.split(f"\n{following}\n", 1)[0] if following else tail


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("It is three years.", "✓ right: three years"),
        ("It is two years.", "↺ outdated: says two years, today it is three years"),
        ("No idea.", "✗ missing: today it is three years"),
    ],
)
def test_fact_states(text: str, state: str) -> None:
    assert state in row(reply_card(reply(text), ASKS), "Facts")


def test_a_reply_with_both_values_is_outdated() -> None:
    assert "outdated" in row(reply_card(reply("It was two years, now three years."), ASKS), "Facts")


def test_passages_open_in_place_and_say_which_are_cited() -> None:
    shown = (passage(), passage("Water twice a week.", "watering", "How often?", 0.41))
    card = reply_card(reply("Three years. [1]", shown, shown[:1]), ASKS)
    first, second = row(card, "Passages").split("[2]")
    assert card.count("<details") == 2 and "<details open" not in card
    assert "✓ cited, holds the answer" in first and "warranty.md" in first and "0.83" in first and "three years" in first
    assert "found, not cited" in second and "holds the answer" not in second and "Water twice a week." in second and "0.41" in second
    assert "<strong>[1]</strong>" in card


def test_a_source_mark_may_have_two_digits() -> None:
    assert "<strong>[10]</strong>" in reply_card(reply("Three years. [10]"), ASKS)


def test_doubt_of_the_search_is_said() -> None:
    sure, unsure = passage(score=0.83), passage(score=0.3)
    assert "not sure" not in row(reply_card(reply("It is three years.", (sure, unsure)), ASKS, "rag"), "Passages")
    assert "The search was not sure, and the prompt says so: (Perhaps" in row(reply_card(reply("It is three years.", (unsure,)), ASKS, "rag"), "Passages")
    left_out = replace(reply("I do not know."), left_out=(passage(score=0.05),))
    assert "The search was not sure, and the prompt says so: (No help page" in row(reply_card(left_out, ASKS, "rag"), "Passages")


def test_no_passages_is_said() -> None:
    assert "from memory" in row(reply_card(reply("Three years."), ASKS), "Passages")


def test_the_verdict_is_seen_next_to_the_reply_and_read_last() -> None:
    card = reply_card(reply("It is two years."), ASKS)
    seen = sorted(re.findall(r'order: (-?\d+)"><h4>(\w+)', card), key=lambda part: int(part[0]))
    assert [title for _, title in seen][:3] == ["Ticket", "Reply", "Verdict"] and seen[-1][1] == "Voice"
    assert plain_text(card).splitlines()[-1] == verdict(reply("It is two years."), ASKS)


def test_voice_checks_by_name() -> None:
    voice = row(reply_card(reply("Please be advised that it is three years."), ASKS), "Voice")
    assert "✗ failed: no filler" in voice and "✓ passed: no blame" in voice
    assert "6 of 6 checks passed" in row(reply_card(reply(WARM.format("three")), ASKS), "Voice")


@pytest.mark.parametrize(
    ("queue", "ticket", "expected"),
    [
        ("safety", SHOCK, "✓ right: handed to the safety team"),
        (None, SHOCK, "✗ missed: not handed over; this ticket belongs with the safety team"),
        ("legal", SHOCK, "✗ wrong queue: handed to the legal team"),
        ("legal", ASKS, "✗ false alarm: handed to the legal team; the policy asks for no hand-over"),
        (None, ASKS, "✓ right: not handed over"),
        ("florists", ASKS, "none of our queues"),
        ("florists", SHOCK, "✗ missed: handed to “florists”, which is none of our queues"),
        ("safety", None, "• handed to the safety team"),
    ],
)
def test_escalation_states(queue: str | None, ticket: Ticket | None, expected: str) -> None:
    assert expected in row(reply_card(reply("A reply.", queue=queue), ticket), "Escalation")


@pytest.mark.parametrize(
    ("text", "ticket", "arm", "expected"),
    [
        (WARM.format("two"), ASKS, "base", "Right voice, outdated fact: this bot needs knowledge, so RAG."),
        (WARM.format("two"), ASKS, "lora", "Right voice, outdated fact: this bot needs knowledge: add RAG, which makes it the hybrid."),
        ("Two years.", ASKS, "base", "Wrong voice, outdated fact: this bot needs knowledge and habits, so the hybrid."),
        ("Three years.", ASKS, "prompt", "Wrong voice, right fact: this bot needs habits, so fine-tuning."),
        ("Three years.", ASKS, "rag", "Wrong voice, right fact: this bot needs habits: add fine-tuning, which makes it the hybrid."),
        ("Three years.", ASKS, "hybrid", "Wrong voice, right fact: its training examples did not teach this case."),
        (WARM.format("three"), ASKS, "hybrid", "Right voice, right fact: this ticket is resolved."),
        (WARM.format("two"), UNKNOWN, "rag", "Right voice, invented answer: it has passages, and none of them answers this."),
        (WARM.format("two"), SHOCK, "base", "Right voice, missed hand-over: this bot needs habits, so fine-tuning."),
    ],
)
def test_verdicts(text: str, ticket: Ticket, arm: str, expected: str) -> None:
    assert verdict(reply(text), ticket, arm) == expected
    assert plain_text(reply_card(reply(text), ticket, arm)).endswith(f"Verdict\n{expected}")


def test_verdict_tells_a_reading_error_from_a_search_error() -> None:
    text = WARM.format("nine")
    assert "among the passages, but it was not used" in verdict(reply(text, (passage(),)), ASKS, "rag")
    assert "the search did not bring" in verdict(reply(text, (passage("Water it.", "watering"),)), ASKS, "rag")
    assert "the search did not bring" in verdict(reply(text, (passage("Water it.", "watering"),)), ASKS, "a bot with a name of its own")


def test_unanswerable_ticket_answered_with_do_not_know() -> None:
    text = "I'd rather not guess, I don't know. Send us the model and we'll find out."
    assert "✓ right: says that it does not know" in row(reply_card(reply(text), UNKNOWN), "Facts")
    assert "as it should" in verdict(reply(text), UNKNOWN, "rag")


def test_nothing_written_by_others_becomes_markup() -> None:
    bad = passage(EVIL, EVIL, EVIL)
    ticket = Ticket("t", EVIL, (Fact("f", EVIL, "changed", EVIL, EVIL + "2", None, None, EVIL, ()),), None, "question")
    dangerous = reply(EVIL, (bad,), (bad,), EVIL, EVIL)
    notices = [notice_card(EVIL), error_card(BotError(EVIL)), error_card(ValueError(EVIL))]
    for card in (reply_card(dangerous, ticket), reply_card(dangerous, None), answers_card(EVIL, {EVIL: dangerous}, [EVIL]), *notices):
        assert "<script" not in card and "<img" not in card
        assert "<script>alert(1)</script><img src=x onerror=" in plain_text(card)


def test_card_lines_of_a_reply_stay_lines() -> None:
    assert "Sorry.\nescalate: safety" in plain_text(reply_card(reply("Sorry.\nescalate: safety", queue="safety"), SHOCK))


def test_plain_text_shows_no_style_and_no_tags() -> None:
    assert plain_text(notice_card("1 < 2 & 3")) == "• 1 < 2 & 3"


def test_errors_say_what_to_do_and_show_no_traceback() -> None:
    assert plain_text(error_card(BotError("Type something."))) == "✗ Type something."
    assert "python -m helpers check" in plain_text(error_card(ZeroDivisionError("division by zero")))


@pytest.mark.parametrize(("text", "struck"), [("It adds $15.", True), ("It adds $15.50.", False), ("It adds $15-worth.", False), ("It adds $150.", False)])
def test_only_the_whole_old_value_is_struck_through(text: str, struck: bool) -> None:
    assert ("<del>$15</del> (old)" in answers_card("After", {"RAG": reply(text)}, ["$15"])) is struck


def test_an_old_value_is_what_the_scoring_takes_for_one() -> None:
    card = answers_card("After", {"RAG": reply("Returns are free. Feel free to write.")}, ["free"])
    assert "Returns are <del>free</del> (old). Feel free to write." in card
    card = answers_card("After", {"RAG": reply("It takes 5 working days.")}, ["five working days", "two weeks"])
    assert "It takes 5 working days. (old: five working days)</div>" in card and "two weeks" not in card
