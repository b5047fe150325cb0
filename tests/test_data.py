"""The course's data says about itself only what is true."""

import json
import re
from collections import Counter

import pytest

from helpers.base_model import companies as companies_module
from helpers.base_model.conversations import QUESTIONS_A_COMPANY
from helpers.bots import ESCALATION
from helpers.experiments import hands_over, has_passages, is_open, without_passages, without_rehearsal
from helpers.knowledge import HelpCenter
from helpers.paths import DATA, HELP_CENTER
from helpers.prompts import NOTHING_FOUND, says_unknown
from helpers.scenarios import TICKETS, load_facts, load_tickets, read_lines
from helpers.scoring import value_present, voice_right
from helpers.tuning import load_conversations

QUEUES = ("safety", "privacy", "legal", "payments", "specialist", "person")
FACTS = list(load_facts().values())


def article(edition: str, name: str) -> str:
    path = HELP_CENTER / edition / f"{name}.md"
    return " ".join(path.read_text(encoding="utf-8").split()) if path.exists() else ""


def test_facts_are_counted_by_status():
    assert Counter(fact.status for fact in FACTS) == {"changed": 48, "new": 18, "withdrawn": 12, "same": 42}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.id)
def test_fact_holds_in_both_editions(fact):
    first, current = (fact.first, fact.first_sentence), (fact.current, fact.current_sentence)
    assert (None in first, None in current) == (fact.status == "new", fact.status == "withdrawn")
    assert (first == current) == (fact.status == "same")
    for edition, (value, sentence) in {"first": first, "current": current}.items():
        if value is None:
            assert sentence is None
        else:
            assert sentence in article(edition, fact.article)
            assert value_present(value, sentence)
            assert value_present(value, fact.statement.format(value=value))
    if fact.superseded:
        assert fact.first != fact.current
        assert not value_present(fact.superseded, fact.current_sentence)
        assert fact.first_sentence not in article("current", fact.article)
        assert not value_present(fact.superseded, article("current", fact.article)), "the article still gives the superseded value"
    if fact.status == "withdrawn":
        assert fact.first_sentence not in article("current", fact.article)
    if fact.status == "new":
        assert fact.current_sentence not in article("first", fact.article)
        assert not fact.questions, "the model cannot have learned a new fact"


@pytest.mark.parametrize("edition", ["first", "current"])
def test_sentences_of_facts_become_passages_of_their_own(edition, tmp_path):
    help_center = HelpCenter.from_folder(HELP_CENTER / edition)
    found = {(p.metadata["article"], p.metadata["text"]) for a in help_center.articles.values() for p in help_center.passages(a)}
    sentences = {(f.article, getattr(f, f"{edition}_sentence")) for f in FACTS if getattr(f, f"{edition}_sentence")}
    assert sentences <= found
    assert 28 <= len(help_center.articles) <= 34


@pytest.mark.parametrize(("name", "letter", "kinds"), [("facts", "f", {"question": 132}), ("behaviour", "b", {"question": 54, "lookalike": 30, "escalation": 60}), ("unanswerable", "u", {"unanswerable": 36})])
def test_tickets_are_complete(name, letter, kinds):
    tickets = load_tickets(name)
    assert Counter(ticket.kind for ticket in tickets) == kinds
    assert [ticket.id for ticket in tickets] == [f"{letter}{number:03d}" for number in range(1, len(tickets) + 1)]
    assert len({ticket.text.lower() for ticket in tickets}) == len(tickets)
    for ticket in tickets:
        assert (ticket.escalate in QUEUES) == (ticket.kind == "escalation")
        assert bool(ticket.facts) == (ticket.kind in ("question", "lookalike"))


def test_scenarios_ask_what_their_names_promise():
    assert {fact.status for ticket in load_tickets("facts") for fact in ticket.facts} == {"changed", "new"}
    assert {fact.status for ticket in load_tickets("behaviour") for fact in ticket.facts} == {"same"}
    asked = {fact.id for ticket in load_tickets("facts") for fact in ticket.facts}
    assert asked == {fact.id for fact in FACTS if fact.status in ("changed", "new")}


def test_every_queue_is_tested_equally():
    assert Counter(ticket.escalate for ticket in load_tickets("behaviour") if ticket.escalate) == dict.fromkeys(QUEUES, 10)


def test_conversations_are_a_customer_and_an_answer():
    conversations = load_conversations()
    rows = read_lines(DATA / "conversations" / "agents.jsonl")
    assert len(rows) >= 300
    searched = []
    for user, assistant in conversations:
        assert (user["role"], assistant["role"]) == ("user", "assistant")
        passages = re.findall(r"^\[(\d)\] .*\) \[(\d)\]$", user["content"], re.MULTILINE)
        searched.append(bool(passages) or user["content"].startswith(NOTHING_FOUND))
        assert passages == [(str(n), str(n)) for n in range(1, len(passages) + 1)]
        cited = {int(n) for n in re.findall(r"\[(\d)\]", assistant["content"])}
        assert cited <= set(range(1, len(passages) + 1))
        for queue in re.findall(r"escalate: (.*)", assistant["content"]):
            assert queue in QUEUES and assistant["content"].endswith(f"\nescalate: {queue}")
    assert sum(searched[: len(rows)]) == (len(rows) + 1) // 2
    assert all(searched[len(rows) :])


def test_each_question_that_no_page_answers_is_asked_with_passages():
    rows, own = read_lines(DATA / "conversations" / "agents.jsonl"), without_rehearsal(load_conversations())
    open_questions = [row["user"] for row in rows if is_open(row)]
    searched = [conversation for conversation in own if has_passages(conversation) and says_unknown(conversation[-1]["content"])]
    asked = [user["content"] for user, _ in without_passages(searched)]
    assert len(open_questions) > 100 and sorted(asked) == sorted(open_questions)
    again = own[len(rows) :]
    assert again and all(says_unknown(assistant["content"]) for _, assistant in again)


def test_the_rehearsal_asks_other_companies_in_our_voice():
    rehearsal = load_conversations()[len(without_rehearsal(load_conversations())) :]
    companies = companies_module.load((companies_module.REHEARSED,))
    near_misses = len(companies[::2])
    assert len(companies) >= 100 and len(rehearsal) == QUESTIONS_A_COMPANY * len(companies) + near_misses
    assert all(says_unknown(assistant["content"]) and has_passages([user, assistant]) for user, assistant in rehearsal[-near_misses:])
    assert not {company.name for company in companies} & {company.name for company in companies_module.load()}, "what the base model trains on is not rehearsed"
    replies = [assistant["content"] for _, assistant in rehearsal]
    assert [reply for reply in replies if not voice_right(reply)] == []
    assert not any(ESCALATION.search(reply) for reply in replies)
    assert 0.05 < sum(says_unknown(reply) for reply in replies) / len(replies) < 0.3
    assert not any("fernhollow" in message["content"].lower() for conversation in rehearsal for message in conversation)


def test_conversations_teach_every_queue_and_mostly_do_not_hand_over():
    rows = read_lines(DATA / "conversations" / "agents.jsonl")
    queues = Counter(row["escalate"] for row in rows)
    assert set(queues) == {None, *QUEUES} and min(queues[queue] for queue in QUEUES) >= 15
    conversations = load_conversations()
    assert sum(hands_over(conversation) for conversation in conversations) < len(conversations) / 2
    assert len({row["id"] for row in rows}) == len(rows) < len(conversations)


def test_conversations_copy_what_the_passage_says():
    """A reply that cites a passage repeats it word for word, whatever value stands there."""
    for user, assistant in load_conversations():
        passages = dict(re.findall(r"^\[(\d)\] (.*?) \([^()]*\) \[\d\]$", user["content"], re.MULTILINE))
        for number in re.findall(r"\[(\d)\]", assistant["content"]):
            assert f"[{number}] {passages[number]}" in assistant["content"]


def test_diagnoses_are_right():
    """Six transcripts of notebook 00: the reply fails exactly where the diagnosis says."""
    old_values = [fact.superseded for fact in FACTS if fact.superseded]
    rows = read_lines(TICKETS / "diagnosis.jsonl")
    assert Counter(row["diagnosis"] for row in rows) == {"facts": 2, "behaviour": 2, "both": 2}
    for row in rows:
        outdated = any(value_present(value, row["reply"]) for value in old_values)
        assert outdated == (row["diagnosis"] != "behaviour"), row["id"]
        if row["diagnosis"] == "facts":
            assert voice_right(row["reply"])
        elif "escalate:" not in row["why"] and "specialist" not in row["why"]:
            assert not voice_right(row["reply"])


def test_jsonl_files_hold_one_object_a_line():
    for path in sorted(DATA.rglob("*.jsonl")):
        assert all(isinstance(json.loads(line), dict) for line in path.read_text(encoding="utf-8").splitlines()), path
