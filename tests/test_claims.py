"""The twelve claims: what the stored numbers carry, and that they come out again."""

import json
import re

import pytest
from fakes import reply

from helpers.bots import Reply
from helpers.claims import CLAIMS, Claim, ClaimError, claim
from helpers.claims.behaviour import macro_f1, parsed, record_of, sample
from helpers.claims.catalogue import results_table
from helpers.claims.claim import FOLDER, Record
from helpers.claims.costs import _peak_memory, apart
from helpers.claims.freshness import next_facts
from helpers.claims.labs import Recompute, UpdateCosts, monthly_operations
from helpers.claims.outcome import CONFIRMED, LIMITED, NOT_CONFIRMED, Check, Outcome, verdict
from helpers.experiments import ExperimentError, PairedTest, changed_again, changed_facts, facts_right, paired_test
from helpers.paths import DATA, ROOT
from helpers.scenarios import load_facts, load_tickets, read_lines
from helpers.scoring import Estimate, value_present
from helpers.widgets import plain_text

LONGEST_RUN = 45 * 60
CI_RUN = 5 * 60


class Silent:
    """A bot that knows nothing."""

    def ask_all(self, questions: list[str]) -> list[Reply]:
        return [reply("I do not know.", question=question) for question in questions]


def outcome(value: float, low: float, high: float, p: float | None = None) -> Outcome:
    found = Outcome(measures={"a": Estimate(value, low, high, 20)})
    if p is not None:
        found.tests["a"] = PairedTest(9, 1, p)
    return found


@pytest.mark.parametrize(
    ("check", "found", "holds"),
    [
        (Check("", "a", above=0), outcome(0.3, 0.1, 0.5), True),
        (Check("", "a", above=0), outcome(0.3, -0.1, 0.5), False),
        (Check("", "a", below=0.5), outcome(0.3, 0.1, 0.4), True),
        (Check("", "a", below=0.5), outcome(0.3, 0.1, 0.6), False),
        (Check("", "a", above=0), outcome(0.3, 0.1, 0.5, p=0.2), False),
        (Check("", "a", above=0), outcome(0.3, 0.1, 0.5, p=0.01), True),
        (Check("", "a", below=0.1, equal=True), outcome(0.0, -0.02, 0.05, p=1.0), True),
    ],
)
def test_a_sentence_needs_the_whole_interval_and_the_paired_test(check: Check, found: Outcome, holds: bool) -> None:
    assert check.holds(found) is holds


def test_a_limit_qualifies_and_a_failed_check_refutes() -> None:
    good, bad, limit = Check("", "a", above=0), Check("", "a", above=0.9), Check("", "a", below=0.6, limit=True)
    found = outcome(0.3, 0.1, 0.5)
    assert verdict([good], found) == CONFIRMED
    assert verdict([good, limit], found) == LIMITED
    assert verdict([good, bad, limit], found) == NOT_CONFIRMED


def test_what_was_expected_beside_the_claim_and_fails_qualifies_it() -> None:
    good, met, missed = Check("", "a", above=0), Check("", "a", above=0.05, extra=True), Check("", "a", above=0.9, extra=True)
    assert verdict([good, met], outcome(0.3, 0.1, 0.5)) == CONFIRMED
    assert verdict([good, missed], outcome(0.3, 0.1, 0.5)) == LIMITED


def test_a_comparison_is_paired_by_ticket() -> None:
    found = Outcome()
    found.compare("a minus b", {"x": 1.0, "y": 2 / 3, "only a": 1.0}, {"x": 0.0, "y": 1 / 3})
    assert found.measures["a minus b"].value == pytest.approx(2 / 3) and found.measures["a minus b"].n == 2
    assert (found.tests["a minus b"].only_first, found.tests["a minus b"].only_second) == (2, 0)
    again = Outcome.from_json(json.loads(json.dumps(found.as_json())))
    assert again == found


def _held(size: int) -> int:
    kept = b"x" * size
    return _peak_memory() + 0 * len(kept)


def test_the_peak_memory_of_a_fresh_process_is_its_own() -> None:
    """Whoever starts it may hold far more: that does not count."""
    heavy = b"x" * 800_000_000
    assert _held(0) > len(heavy)
    small, large = apart(_held, 0), apart(_held, 300_000_000)
    assert small < len(heavy) and 200_000_000 < large - small < 400_000_000


# The stored results


def test_the_twelve_claims_are_there_and_an_unknown_one_is_named() -> None:
    assert [one.number for one in CLAIMS] == list(range(1, 13))
    assert {one.file.name for one in CLAIMS} == {path.name for path in FOLDER.glob("*.json")}
    with pytest.raises(ClaimError, match="There is no claim 13. Choose one from 1 to 12."):
        claim(13)


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.name)
def test_a_stored_result_says_everything_that_the_claim_asks_of_it(one: Claim) -> None:
    record = one.stored()
    found = record.outcome
    assert found.seeds and record.versions and record.machine and re.fullmatch(r"\d{4}-\d\d-\d\d", record.date)
    assert all(e.n > 0 and e.low <= e.value <= e.high for e in found.measures.values())
    for name in found.measures:
        assert (" minus " in name) == (name in found.tests), f"{name}: a comparison has a paired test"
    assert one.predicted in found.measures
    for check in one.checks:
        assert check.measure in found.measures or check.measure in found.counts
        compares = re.search(r"\b(more|less|fewer|worse|better|longer|lower|lowers)\b", check.sentence) and not re.search(r"than (0\.\d+|half|chance)", check.sentence)
        assert not compares or check.measure in found.tests or check.measure in found.counts, check.sentence
    assert one.chart(record).alt_text() and one.says in one.conclusion(record)


def test_all_twelve_recompute_in_time() -> None:
    assert sum(one.stored().seconds for one in CLAIMS) < LONGEST_RUN
    assert sum(one.in_ci for one in CLAIMS) >= 4 and sum(one.stored().seconds for one in CLAIMS if one.in_ci) < CI_RUN


def test_the_readme_shows_the_stored_results() -> None:
    assert results_table() in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("one", [one for one in CLAIMS if one.in_ci], ids=lambda one: one.name)
def test_a_result_comes_out_again(one: Claim) -> None:
    assert one.differences(one.stored(), one.recompute()) == []


def test_a_measure_that_nothing_counts_for_any_more_is_noticed() -> None:
    one = claim(8)
    stored = one.stored()
    again = Record.from_json(json.loads(json.dumps(stored.as_json())))
    again.outcome.measures["citation_precision, hybrid"] = Estimate(float("nan"), float("nan"), float("nan"), 0)
    assert any(line.startswith("citation_precision, hybrid") for line in one.differences(stored, again))


def test_a_result_that_changed_is_noticed() -> None:
    one = claim(3)
    stored = one.stored()
    again = Record.from_json(json.loads(json.dumps(stored.as_json())))
    assert one.differences(stored, again) == []
    name = "facts_stale, the next edition, after the sync"
    again.outcome.measures[name] = Estimate(0.5, 0.4, 0.6, 80)
    found = one.differences(stored, again)
    assert any(line.startswith(name) for line in found) and any("no longer carried: After a sync" in line for line in found)


# The parts of the experiments


def test_the_next_edition_has_values_that_no_edition_had() -> None:
    changed = next_facts(changed_facts())
    assert len(changed) > 40 and len({fact.current_sentence for fact in changed}) == len(changed)
    for fact in changed:
        assert fact.superseded and not value_present(fact.superseded, fact.current) and value_present(fact.current, fact.current_sentence)
    assert next_facts(changed_facts()) == changed


@pytest.mark.parametrize(("value", "said"), [("3 years", "already has the value"), ("three years", "already has the value"), (" ", "is empty")])
def test_a_fact_changes_only_to_another_value(value: str, said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        changed_again(load_facts()["warranty-length"], value)


def test_without_scores_or_facts_there_is_a_message() -> None:
    with pytest.raises(ExperimentError, match="No scores"):
        paired_test({}, {})
    with pytest.raises(ExperimentError, match="asks for a fact"):
        facts_right(Silent(), load_tickets("unanswerable"))


def test_tickets_without_a_fact_do_not_count_as_right() -> None:
    behaviour = load_tickets("behaviour")
    found = facts_right(Silent(), behaviour)
    assert found.value == 0 and found.n == sum(bool(ticket.facts) for ticket in behaviour) < len(behaviour)


def test_a_record_is_valid_or_none() -> None:
    good = record_of("My lawyer will write to you tomorrow.", "legal")
    assert good == {"queue": "legal", "words": "My lawyer will write", "urgent": False}
    assert parsed(json.dumps(good)) == good
    for text in ("I do not know.", "[1]", "{}", json.dumps(good | {"queue": "sales"}), json.dumps(good | {"more": 1}), json.dumps(good) + " Bye."):
        assert parsed(text) is None


def test_labels_are_drawn_evenly_and_by_seed() -> None:
    rows = read_lines(DATA / "conversations" / "agents.jsonl")
    chosen = sample(rows, 70, 0)
    counts = [sum((row["escalate"] or "none") == name for row in chosen) for name in {row["escalate"] or "none" for row in rows}]
    assert counts == [10] * 7 and len({row["id"] for row in chosen}) == 70
    assert sample(rows, 70, 0) == chosen != sample(rows, 70, 1)


def test_macro_f1_counts_each_class_the_same_and_a_missing_answer_as_wrong() -> None:
    truth = ["none"] * 8 + ["legal"] * 2
    assert macro_f1(truth, [truth]).value == 1
    assert macro_f1(truth, [["none"] * 10]).value == pytest.approx(4 / 9)
    assert macro_f1(truth, [[""] * 10]).value == 0


def test_the_crossing_makes_both_sums_equal() -> None:
    assumptions = {"updates": 7, "questions": 1000, "passages": 80, "model": 7000, "training": 500_000, "article": 400}
    crossing = monthly_operations(assumptions, 22.7e6)["crossing"]
    at = monthly_operations(assumptions | {"updates": crossing}, 22.7e6)
    assert at["rag"] == pytest.approx(at["fine-tuning"])
    lab = UpdateCosts(22.7e6)
    lab.numbers["updates"].value, lab.numbers["questions"].value = 1, 1_000_000
    assert "Fine-tuning takes less here" in plain_text(lab.result.value)
    lab.numbers["questions"].value = 100
    assert "RAG takes less here" in plain_text(lab.result.value)


def test_computing_again_says_how_it_compares_and_survives_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Recompute([claim(3), claim(4)])
    stored = claim(3).stored()
    monkeypatch.setattr(Claim, "recompute", lambda self, report: stored)
    lab.start.click()
    assert "as stored" in plain_text(lab.card.value) and lab.record == stored

    def fails(self: Claim, report: object) -> Record:
        raise OSError("No space left on device")

    monkeypatch.setattr(Claim, "recompute", fails)
    lab.start.click()
    assert "No space left on device" in plain_text(lab.card.value)
