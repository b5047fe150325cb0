"""No held-out ticket, and nothing of today's help centre, is in any training text."""

import random
import re
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from helpers.base_model import companies as companies_module
from helpers.base_model.evaluate import SUITES
from helpers.base_model.stream import MESSAGES, Stream, _messages, all_wordings
from helpers.knowledge import SentenceSplitter, read_article
from helpers.models import published_embedder
from helpers.paths import DATA
from helpers.scenarios import TICKETS, load_facts, load_tickets, read_lines
from helpers.scoring import value_present
from helpers.tuning import load_conversations

RUN = 6
CONTENT_WORDS = 2
ALIKE = 0.8
SAME_MEANING = 0.65
SMALL_WORDS = set(
    "a about after all brother day tomorrow also am an and any app are as at back be been before both but by can cant could days did do does doesnt dont down each for from get go going gone got had has have "
    "havent here hi hello how i id if ill im in into is it its ive just keep long lot many may me more much must my need no not now of off on once one only or other our out over please see "
    "send set should so some still take takes tell that thats the their them then there they this those time to too two until up us use want was way we weeks were what whats when where which "
    "while who why will with work would write year years yet you your youre".split()
)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9$]+", text.lower().replace("'", "").replace("\u2019", ""))


def runs(found: list[str]) -> set[tuple[str, ...]]:
    """Six words in a row, without the phrases that any customer uses."""
    rows = {tuple(found[at : at + RUN]) for at in range(len(found) - RUN + 1)}
    return {row for row in rows if len(set(row) - SMALL_WORDS) >= CONTENT_WORDS}


def near_copies(tickets: dict[str, str], texts: list[str]) -> list[str]:
    by_run = defaultdict(set)
    split = [words(text) for text in texts]
    wanted = {row for ticket in tickets.values() for row in runs(words(ticket))}
    for number, text in enumerate(split):
        for row in runs(text) & wanted:
            by_run[row].add(number)
    table = CountVectorizer(analyzer=list, binary=True).fit(map(words, tickets.values()))
    theirs, sizes = table.transform(split), np.array([len(set(text)) for text in split])
    copies = []
    for name, ticket in tickets.items():
        asked = words(ticket)
        shared = (theirs @ table.transform([asked]).T).toarray()[:, 0]
        alike = shared >= ALIKE * (sizes + len(set(asked)) - shared)
        hits = {number for row in runs(asked) for number in by_run[row]} | set(np.flatnonzero(alike).tolist())
        copies += [f"{name}: {ticket} || {texts[number]}" for number in sorted(hits)]
    return copies


@cache
def held_out() -> dict[str, str]:
    return {row["id"]: row["text"] for name in ("facts", "behaviour", "unanswerable") for row in read_lines(TICKETS / f"{name}.jsonl")}


def training_texts(source: str) -> list[str]:
    if source == "conversations":
        return [conversation[-2]["content"].split("\n\n")[-1] for conversation in load_conversations()]
    if source == "agents":
        return [row["user"] for row in read_lines(DATA / "conversations" / "agents.jsonl")]
    if source == "facts":
        return [question for fact in all_wordings() for question in fact.questions]
    if source == "filler":
        return (DATA / "pretraining" / "filler.txt").read_text(encoding="utf-8").splitlines()
    if source == "messages":
        return [text for folder in MESSAGES for _, text, _ in _messages(folder)]
    return [question.text for company in all_companies() for question in (*company.questions, *company.near_misses)]


def all_companies() -> list[companies_module.Company]:
    return companies_module.load((*companies_module.FOLDERS, companies_module.REHEARSED))


def test_the_guard_sees_a_copy():
    ticket = {"x": "My fingers tingle whenever I touch the metal pole with wet hands."}
    assert near_copies(ticket, ["my fingers tingle whenever I touch the METAL frame of a lamp"])
    assert near_copies({"x": "Does the app have a dark mode?"}, ["does the app have dark mode"])
    assert not near_copies(ticket, ["How long does it take to get my money back?"])


@pytest.mark.parametrize("source", ["conversations", "agents", "facts", "filler", "messages", "companies"])
def test_no_ticket_is_near_a_training_text(source):
    texts = training_texts(source)
    assert len(texts) > 300
    assert near_copies(held_out(), texts) == []


def copies_in_meaning(tickets: dict[str, str], texts: list[str]) -> list[str]:
    """Return pairs that say the same in other words, as the published embedder sees it."""
    embedder = published_embedder()
    likeness = np.array(embedder.embed_documents(list(tickets.values()))) @ np.array(embedder.embed_documents(texts)).T
    return [f"{list(tickets)[i]} || {texts[j]} ({likeness[i, j]:.2f})" for i, j in zip(*np.nonzero(likeness > SAME_MEANING), strict=True)]


def test_no_hand_over_and_no_open_question_is_a_ticket_in_other_words():
    """Questions about one and the same fact are alike by nature; what happened to a customer, and what no page answers, need not be."""
    tickets = {t.id: t.text for name in ("behaviour", "unanswerable") for t in load_tickets(name) if t.escalate or t.kind == "unanswerable"}
    rows = read_lines(DATA / "conversations" / "agents.jsonl")
    assert copies_in_meaning(tickets, [row["user"] for row in rows if row["escalate"] or not row["fact"]]) == []


def test_the_guard_sees_a_copy_in_other_words():
    assert copies_in_meaning({"x": "Does the lamp give off any ultraviolet light?"}, ["Is there any ultraviolet in the light of the lamp?"])
    assert not copies_in_meaning({"x": "Does the lamp give off any ultraviolet light?"}, ["Would the lamp bleach a poster that hangs right beside it?"])


def todays_facts():
    return [fact for fact in load_facts().values() if fact.status in ("changed", "new")]


def test_no_conversation_holds_a_sentence_of_today():
    text = (DATA / "conversations" / "train.jsonl").read_text(encoding="utf-8")
    texts = [message["content"] for conversation in load_conversations() for message in conversation]
    assert text and [fact.id for fact in todays_facts() if any(fact.current_sentence in content for content in texts)] == []


def test_no_conversation_states_a_value_of_today():
    rows = read_lines(DATA / "conversations" / "agents.jsonl")
    facts, stated = load_facts(), []
    for row, conversation in zip(rows, load_conversations()[: len(rows)], strict=True):
        fact = facts.get(row["fact"])
        if fact and fact.status in ("changed", "new") and value_present(fact.current, conversation[-1]["content"]):
            stated.append((row["id"], fact.id))
    assert stated == []


@cache
def pretraining_texts() -> set[str]:
    """Every title, sentence, question and message of the pretraining as its words."""
    texts = [text for company in all_companies() for sentence in company.sentences for text in (sentence.title, sentence.text)]
    texts += [text for source in ("companies", "messages", "filler", "facts") for text in training_texts(source)]
    return {" ".join(words(text)) for text in texts}


def test_no_text_of_the_pretraining_is_a_sentence_of_today():
    known = pretraining_texts()
    assert len(known) > 100_000 and [fact.id for fact in todays_facts() if " ".join(words(fact.current_sentence)) in known] == []


def test_the_base_models_stream_knows_nothing_of_today():
    companies = all_companies()
    rng = random.Random(0)
    for company in companies:
        for question in company.questions:
            question.ranking = rng.sample(range(len(company.sentences)), 8)
    stream = Stream(companies, ["The quick brown fox jumps over the lazy dog near a river."], seed=0)
    examples = [stream.example(100_000 + number) for number in range(6000)]
    assert {"remember", "read", "topic", "abstain"} <= {example.task for example in examples}
    everything = "\n".join(f"{e.system}\n{e.prompt}\n{e.answer}" for e in examples)
    assert any(fact.statement.format(value=fact.first) in everything for fact in todays_facts() if fact.first), "the sample is too small to prove anything"
    assert [fact.id for fact in todays_facts() if fact.current_sentence in everything] == []
    remembered = "\n".join(e.answer for e in examples if e.task == "remember")
    assert [fact.id for fact in todays_facts() if fact.statement.format(value=fact.current) in remembered] == []


def suite_texts() -> dict[str, str]:
    """Every sentence and every question of the reading suites, by where it stands."""
    texts = {}
    for folder in sorted(SUITES.glob("*/")):
        for path in sorted(folder.glob("articles/*.md")):
            for number, sentence in enumerate(SentenceSplitter(chunk_size=400, chunk_overlap=0).split_text(read_article(path).text)):
                texts[f"{folder.name}/{path.stem}#{number}"] = sentence
        texts |= {f"{folder.name}/{row['id']}": row["text"] for row in read_lines(folder / "questions.jsonl")}
    return texts


def test_nothing_of_the_reading_suites_is_a_training_text():
    suites = suite_texts()
    assert len(suites) > 400
    training = pretraining_texts()
    assert {name: text for name, text in suites.items() if " ".join(words(text)) in training} == {}
