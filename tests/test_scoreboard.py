"""The table of the square: which tickets a metric counts, and labels that cannot be swapped."""

import math

import pytest
from fixtures import build_llm, own_workspace, passage, reply  # noqa: F401

from helpers import SupportBot, scoreboard
from helpers.models import new_model
from helpers.scenarios import ARMS, Ticket, load_facts, load_tickets, make_bot
from helpers.scoreboard import METRICS, average, estimates, scores
from helpers.tuning import add_adapter

FACTS = load_facts()
CHANGED = Ticket("changed", "How long is the warranty?", (FACTS["warranty-length"],), None, "question")
NEW = Ticket("new", "How heavy is it?", (FACTS["orchard-weight"],), None, "question")
SAME = Ticket("same", "Which band?", (FACTS["wifi-band"],), None, "lookalike")
DANGER = Ticket("danger", "It smokes.", (), "safety", "escalation")
UNKNOWN = Ticket("unknown", "Is it vegan?", (), None, "unanswerable")
TICKETS = (CHANGED, NEW, SAME, DANGER, UNKNOWN)


def test_each_metric_counts_the_tickets_it_applies_to():
    table = scores([reply("Fine.")] * 5, TICKETS)
    assert {metric: set(table[metric]) for metric in METRICS} == {
        "facts_current": {"changed", "new"},
        "facts_stale": {"changed"},
        "citation_precision": set(),
        "citation_recall": {"changed", "new", "same"},
        "voice": {"same", "danger"},
        "escalation_recall": {"danger"},
        "escalation_queue": {"danger"},
        "escalation_false_alarm": {"same"},
        "resolved": {"changed", "new", "same", "danger"},
        "abstention": {"unknown"},
    }
    assert all(score == 0.0 for metric in METRICS for score in table[metric].values())


def test_a_perfect_bot_scores_one():
    answers = [
        reply("Happy to help! It's three years. [1] Write back any time.", passage("warranty", "It is three years.")),
        reply("Happy to help! It's 31 kilos. [1] Write back any time.", passage(FACTS["orchard-weight"].article, "It weighs 31 kilos.")),
        reply("Happy to help! It's the 2.4 GHz band. Write back any time."),
        reply("I'm sorry, that's frightening. I'm passing this to our safety team.\nescalate: safety"),
        reply("I'd rather not guess: our help pages don't say. Send us a photo."),
    ]
    table = scores(answers, TICKETS)
    table["citation_recall"].pop("same")
    expected = {"facts_stale": 0.0, "escalation_false_alarm": 0.0}
    for metric in METRICS:
        for name, score in table[metric].items():
            assert score == expected.get(metric, 1.0), (metric, name)


def test_a_needless_hand_over_is_a_false_alarm_and_no_abstention():
    handed = reply("I do not know. I'm passing this on.\nescalate: safety")
    table = scores([handed] * 5, TICKETS)
    assert table["escalation_false_alarm"] == {"same": 1.0}
    assert table["escalation_recall"] == table["escalation_queue"] == {"danger": 1.0}
    assert table["abstention"] == {"unknown": 0.0}


def test_a_hand_over_to_the_wrong_team_is_not_missed_but_misrouted():
    table = scores([reply("Passing.\nescalate: legal")], [DANGER])
    assert table["escalation_recall"] == {"danger": 1.0}
    assert table["escalation_queue"] == table["resolved"] == {"danger": 0.0}


def test_a_hand_over_to_a_team_that_does_not_exist_is_missed():
    table = scores([reply("Passing.\nescalate: florists")] * 2, [DANGER, SAME])
    assert table["escalation_recall"] == table["escalation_queue"] == {"danger": 0.0}
    assert table["escalation_false_alarm"] == {"same": 1.0}


def test_seeds_are_averaged_ticket_by_ticket():
    tables = [scores([reply(text)], [CHANGED]) for text in ("Three years.", "Two years.")]
    merged = average(tables)
    assert merged["facts_current"] == merged["facts_stale"] == {"changed": 0.5}
    found = estimates(merged)
    assert found["facts_current"].value == 0.5 and found["facts_current"].n == 1
    assert found["voice"].n == 0 and math.isnan(found["voice"].value)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return build_llm("qwen2", tmp_path_factory.mktemp("qwen2"))


class NoPassages:
    """A help centre that finds nothing."""

    def search_all(self, questions, k):
        return [[] for _ in questions]


def test_labels_are_not_swapped(tiny, tmp_path, monkeypatch):
    """RAG that finds nothing, and an adapter without training, answer as the base bot does."""
    monkeypatch.setenv("COURSE_LLM", str(tiny))
    monkeypatch.setattr("helpers.models.LONGEST_REPLY", 24)
    add_adapter(new_model()).save_pretrained(tmp_path / "untrained")
    tickets = [*load_tickets("facts")[:3], *load_tickets("behaviour")[-3:]]
    questions = [ticket.text for ticket in tickets]
    base = [answer.text for answer in make_bot("base").ask_all(questions)]
    assert len(set(base)) > 1
    for arm in ("rag", "lora", "hybrid"):
        bot = make_bot(arm, NoPassages(), tmp_path / "untrained")
        assert [answer.text for answer in bot.ask_all(questions)] == base, arm
    assert [answer.text for answer in make_bot("prompt").ask_all(questions)] != base


def test_arms_are_given_what_their_names_say(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_LLM", str(tiny))
    add_adapter(new_model()).save_pretrained(tmp_path / "adapter")
    given = {}
    for arm in ARMS:
        bot: SupportBot = make_bot(arm, NoPassages(), tmp_path / "adapter")
        given[arm] = (bool(bot.system_prompt), bot.help_center is not None, bot.adapter is not None)
    assert given == {"base": (False, False, False), "prompt": (True, False, False), "rag": (False, True, False), "lora": (False, False, True), "hybrid": (False, True, True)}
    with pytest.raises(KeyError):
        make_bot("oracle", NoPassages())


def test_the_scoreboard_has_the_agreed_form(monkeypatch):
    class Bot:
        def __init__(self, arm, help_center, adapter):
            self.text = f"Happy to help! It's {'three' if arm in ('rag', 'hybrid') else 'two'} years, {arm} {adapter}. Write back any time."

        def ask_all(self, questions):
            return [reply(self.text) for _ in questions]

    trained = []
    monkeypatch.setattr(scoreboard, "make_bot", Bot)
    monkeypatch.setattr(scoreboard, "current_help_center", lambda: "help centre")
    monkeypatch.setattr(scoreboard, "course_adapter", lambda seed: trained.append(seed) or seed)
    monkeypatch.setattr(scoreboard, "all_tickets", lambda: list(TICKETS))
    lines = []
    board = scoreboard.scoreboard(seeds=(0, 1), report=lines.append)
    assert list(board["arms"]) == list(ARMS) and board["seeds"] == [0, 1] and set(trained) == {0, 1}
    assert {"index", "adapter 0", "adapter 1", *ARMS} == set(board["seconds"]) and len(lines) == 8
    assert {arm: board["arms"][arm]["facts_stale"]["value"] for arm in ARMS} == {"base": 1.0, "prompt": 1.0, "rag": 0.0, "lora": 1.0, "hybrid": 0.0}
    assert board["arms"]["hybrid"]["facts_current"] == {"value": 0.5, "low": 0.0, "high": 1.0, "n": 2}
    assert "citation_precision" not in board["arms"]["base"]
