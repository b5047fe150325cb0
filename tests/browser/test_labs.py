"""Each lab as a learner uses it: in JupyterLab, with the mouse, the keyboard and their own eyes."""

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median

import pytest
from notebook_page import VIEWPORTS, NotebookPage, Opener, Server, expect_chosen, option
from playwright.sync_api import Locator, expect

from helpers.decisions import BRANCHES, QUESTIONS, walk
from helpers.exercises import NOTEBOOKS as EXERCISES
from helpers.scenarios import ARM_NAMES, SCENARIOS, TICKETS, load_tickets, read_lines
from helpers.toggle import FIRST

EVIL = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
DELIVERY = "Delivery times and the courier"
# The figures are made up: with them the walk needs no adapter and no measurement.
MEASURED = """
from helpers.scenarios import ARMS
from helpers.scoring import estimate
measured = {arm: {name: estimate([1.0, 1.0, 0.0]) for name in ("facts_current", "voice", "resolved")} for arm in ARMS}
"""
# Two replies of which nobody has to wait for: one from memory, one that keeps a dangerous ticket.
ANSWERED = """
from helpers.bots import Reply
from helpers.scenarios import current_help_center, load_tickets
help_center = current_help_center()
some = [next(t for t in load_tickets("facts") if t.id == "f104"), next(t for t in load_tickets("behaviour") if t.escalate)]
rag_replies = [Reply(t.text, said, (), tuple(help_center.search(t.text, k)), False, None, 0.1) for t, said, k in zip(some, ("It lasts a while.", "I do not know."), (2, 1))]
rag_scores = {"facts_current": {t.id: 0.0 for t in some}}
"""


def open_toggle(notebook: NotebookPage) -> Locator:
    return notebook.lab("lab = ToggleLab()")


def open_quiz(notebook: NotebookPage) -> Locator:
    return notebook.lab("quiz = DiagnosisQuiz()")


def open_machine(notebook: NotebookPage) -> Locator:
    """Also gives the learner's copy back its shipped articles."""
    return notebook.lab("from helpers.knowledge import read_article", "help_center = HelpCenter.from_folder", "mine = workspace()", "machine = TimeMachine(")


def open_predictions(notebook: NotebookPage) -> Locator:
    return notebook.lab('"rag-facts": "facts_current')


def open_tracer(notebook: NotebookPage) -> Locator:
    notebook.run_code(ANSWERED)
    return notebook.lab("tracer = FailureTracer(")


def open_recompute(notebook: NotebookPage) -> Locator:
    """The experiment itself is not run: its stored result comes back at once."""
    notebook.run_code("from helpers.claims import Claim, claim\nClaim.recompute = lambda self, report: self.stored()\nsquare, prompting, lighter, records, routing, hybrid = map(claim, (1, 2, 7, 10, 11, 12))")
    return notebook.lab("lab = Recompute([square")


def open_costs(notebook: NotebookPage) -> Locator:
    notebook.run_code("from helpers.claims import claim\nfound = claim(6).stored()")
    return notebook.lab("UpdateCosts(found")


def open_walk(notebook: NotebookPage) -> Locator:
    notebook.run_code(MEASURED)
    return notebook.lab("walk = DecisionWalk(evidence)")


def text_of(ticket: str) -> str:
    return next(t.text for name in ("facts", "behaviour", "unanswerable") for t in load_tickets(name) if t.id == ticket)


def section(lab: Locator, title: str) -> Locator:
    """Return the part of the card below one of its headings."""
    return lab.locator(".fern-card > div").filter(has=lab.page.get_by_role("heading", name=title, exact=True))


def expect_no_script_ran(notebook: NotebookPage) -> None:
    assert notebook.page.evaluate("() => typeof window.hacked") == "undefined"


# Toggle lab


def test_each_choice_by_mouse_changes_the_card_for_that_bot(open_notebook: Opener) -> None:
    lab = open_toggle(open_notebook("00_two_bots"))
    option(lab, "Tool", "RAG").click()
    expect(section(lab, "Passages")).to_contain_text("[1] ✓ cited")
    expect(section(lab, "Facts")).to_contain_text("✓ right")
    expect(section(lab, "Verdict")).to_contain_text("add fine-tuning, which makes it the hybrid")
    option(lab, "Tool", "base bot").click()
    expect(section(lab, "Passages")).to_contain_text("this bot answers from memory")
    expect(section(lab, "Facts")).to_contain_text("↺ outdated")
    expect_chosen(option(lab, "Tool", "base bot"))
    expect_chosen(option(lab, "Scenario", SCENARIOS["facts"]))
    option(lab, "Scenario", SCENARIOS["behaviour"]).click()
    expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][0]))
    lab.get_by_label("Ticket").select_option(index=1)
    expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][1]))
    for tool, passages in (("RAG", "[1]"), ("prompt only", "this bot answers from memory")):
        option(lab, "Tool", tool).click()
        expect(section(lab, "Passages")).to_contain_text(passages)
        expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][1]))


def test_the_keyboard_alone_reaches_every_control(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab, press = open_toggle(notebook), notebook.page.keyboard.press
    option(lab, "Scenario", SCENARIOS["behaviour"]).focus()
    press("Space")
    expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][0]))
    expect(option(lab, "Scenario", SCENARIOS["behaviour"])).to_be_focused()
    for tool in ("base bot", "prompt only"):
        press("Tab")
        expect(option(lab, "Tool", tool)).to_be_focused()
    press("Enter")
    expect_chosen(option(lab, "Tool", "prompt only"))
    for _ in ("RAG", "fine-tuned", "hybrid", "the second tool", "the tickets"):
        press("Tab")
    expect(lab.get_by_label("Ticket")).to_be_focused()
    press("Space")
    press("ArrowDown")
    press("Enter")
    expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][1]))
    press("Tab")
    notebook.page.keyboard.type("How long is the warranty?")
    press("Enter")
    expect(section(lab, "Ticket")).to_contain_text("How long is the warranty?")
    expect(section(lab, "Facts")).to_contain_text("Your own words")
    notebook.page.keyboard.type(" For a Bloom.")
    press("Tab")
    press("Enter")
    expect(section(lab, "Ticket")).to_contain_text("How long is the warranty? For a Bloom.")
    assert notebook.focused() == "Ask", "the keyboard stays where it was"


def test_two_tools_answer_the_same_ticket_side_by_side(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    notebook.resize(VIEWPORTS[1])
    lab = open_toggle(notebook)
    lab.get_by_label("Beside it").select_option("RAG")
    cards = lab.locator(".fern-card")
    expect(cards).to_have_count(2)
    expect(section(lab, "Facts").nth(0)).to_contain_text("↺ outdated")
    expect(section(lab, "Facts").nth(1)).to_contain_text("✓ right")
    left, right = (cards.nth(number).bounding_box() for number in (0, 1))
    assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 2
    lab.get_by_label("Beside it").select_option("no other tool")
    expect(lab.locator(".fern-card:visible")).to_have_count(1)


def test_a_hostile_ticket_is_shown_as_text(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_toggle(notebook)
    lab.get_by_label("Your own words").fill(f"How long is the warranty? {EVIL}")
    lab.get_by_role("button", name="Ask").click()
    expect(section(lab, "Ticket")).to_contain_text(EVIL)
    expect(lab.locator("script, img")).to_have_count(0)
    expect_no_script_ran(notebook)


def test_tools_and_verdict_are_seen_at_once(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_toggle(notebook)
    for viewport, tool in product(VIEWPORTS, ("prompt only", "base bot")):
        notebook.resize(viewport)
        option(lab, "Tool", tool).click()
        expect_chosen(option(lab, "Tool", tool))
        lab.evaluate("lab => lab.scrollIntoView()")
        expect(section(lab, "Verdict")).to_be_in_viewport(ratio=1)
        expect(option(lab, "Tool", tool)).to_be_in_viewport(ratio=1)


# Diagnosis quiz


def test_diagnoses_are_chosen_then_revealed_and_counted(open_notebook: Opener) -> None:
    lab = open_quiz(open_notebook("00_two_bots"))
    rows = read_lines(TICKETS / "diagnosis.jsonl")
    cases = lab.locator("> .widget-vbox")
    expect(cases).to_have_count(len(rows))
    for number, row in enumerate(rows):
        case = cases.nth(number)
        expect(case).not_to_contain_text(row["why"])
        case.get_by_role("button", name="Reveal").click()
        expect(case.locator(".fern-card")).to_contain_text("Choose a diagnosis first.")
        option(case, "Diagnosis", "facts").click()
        expect_chosen(option(case, "Diagnosis", "facts"))
        case.get_by_role("button", name="Reveal").click()
        expect(case.locator(".fern-card")).to_contain_text(f"{'✓ Right' if row['diagnosis'] == 'facts' else '✗ Not facts'}: {row['diagnosis']}. {row['why']}")
        expect(option(case, "Diagnosis", "behaviour")).to_be_disabled()
    right = sum(row["diagnosis"] == "facts" for row in rows)
    expect(lab).to_contain_text(f"{right} right of {len(rows)} revealed")


# Predictions


def test_predictions_are_kept_in_the_learners_folder(open_notebook: Opener, server: Server) -> None:
    lab = open_predictions(open_notebook("00_two_bots"))
    number = lab.get_by_label("facts_current of the RAG bot")
    number.fill("0.85")
    number.press("Tab")
    lab.get_by_role("button", name="Keep my predictions").click()
    expect(lab).to_contain_text("✓ Kept.")
    assert json.loads((server.workspace / "predictions.json").read_text(encoding="utf-8"))["rag-facts"]["predicted"] == 0.85


# Time machine


def answers(lab: Locator, title: str) -> Locator:
    """Return the card with the answers ``Before`` or ``After``."""
    return lab.locator(".fern-card").filter(has=lab.page.locator("b", has_text=re.compile(f"^{title}$")))


def said(card: Locator, bot: str) -> Locator:
    return card.locator("> div").filter(has=card.page.get_by_role("heading", name=bot, exact=True))


def test_an_edited_fact_reaches_the_answer_and_its_source_and_undo_takes_it_back(open_notebook: Opener) -> None:
    notebook = open_notebook("01_rag_pipeline")
    lab = open_machine(notebook)
    article = lab.get_by_label("Text")
    expect(article).to_have_value(re.compile("three working days"))
    article.fill(article.input_value().replace("three working days", "eleven working days"))
    lab.get_by_role("button", name="Sync").press("Enter")
    before, after = answers(lab, "Before"), answers(lab, "After")
    expect(said(after, "RAG")).to_contain_text("eleven working days")
    expect(said(before, "RAG")).to_contain_text("three working days")
    for bot in ("base bot", "facts in the weights"):
        expect(said(after, bot).locator("del")).to_have_count(1)
        expect(said(after, bot)).not_to_contain_text("eleven working days")
    expect(lab).to_contain_text("Passages: 0 added, 1 updated, 0 deleted")
    expect(lab).to_contain_text("1 passage was embedded")
    source = said(after, "RAG").locator("details").filter(has_text="✓ cited").first
    source.locator("summary").click()
    expect(source).to_contain_text("eleven working days")
    expect(source).to_contain_text("delivery-times.md")
    lab.get_by_role("button", name="Undo").press("Enter")
    expect(said(after, "RAG")).to_contain_text("three working days")
    expect(article).to_have_value(re.compile("three working days"))


def test_articles_are_withdrawn_added_and_given_back(open_notebook: Opener) -> None:
    lab = open_machine(open_notebook("01_rag_pipeline"))
    lab.get_by_role("button", name="Withdraw").click()
    expect(lab).to_contain_text("0 added, 0 updated")
    expect(lab).to_contain_text("Articles touched: delivery-times")
    assert DELIVERY not in lab.get_by_label("Article").locator("option").all_inner_texts()
    lab.get_by_label("Article").select_option("a new article")
    expect(lab.get_by_label("Text")).to_have_value(re.compile("^# .*title", re.IGNORECASE))
    lab.get_by_label("Text").fill("# Standard delivery\n\n## How long does standard delivery take?\n\nOrders with standard delivery arrive within thirteen working days.\n")
    lab.get_by_role("button", name="Sync").click()
    expect(said(answers(lab, "After"), "RAG")).to_contain_text("thirteen working days")
    lab.get_by_role("button", name="Shipped edition").click()
    expect(said(answers(lab, "After"), "RAG")).to_contain_text("three working days")
    expect(lab.get_by_label("Article").locator("option", has_text=DELIVERY)).to_have_count(1)


def test_another_ticket_opens_its_article_and_is_asked(open_notebook: Opener) -> None:
    lab = open_machine(open_notebook("01_rag_pipeline"))
    lab.get_by_label("Ticket").select_option(index=1)
    expect(lab.get_by_label("Text")).to_have_value(re.compile("six months"))
    lab.get_by_role("button", name="Sync").click()
    expect(said(answers(lab, "After"), "RAG")).to_contain_text("six months")


def test_a_hostile_article_is_shown_as_text(open_notebook: Opener) -> None:
    notebook = open_notebook("01_rag_pipeline")
    lab = open_machine(notebook)
    lab.get_by_label("Text").fill(f"# Delivery {EVIL}\n\n## How long does standard delivery take? {EVIL}\n\nStandard delivery takes nine working days. {EVIL}\n")
    lab.get_by_role("button", name="Sync").click()
    expect(answers(lab, "After")).to_contain_text(EVIL)
    expect(lab.locator("script, img")).to_have_count(0)
    expect_no_script_ran(notebook)


# Failure tracer


def test_a_kind_of_failure_lists_its_tickets_and_says_what_was_seen(open_notebook: Opener) -> None:
    lab = open_tracer(open_notebook("01_rag_pipeline"))
    option(lab, "What failed", "misread (1)").click()
    expect(lab).to_contain_text(re.compile(r"Passage \[\d\] says three years; it cited no passage\."))
    expect(section(lab, "Reply")).to_contain_text("It lasts a while.")
    expect(lab.get_by_label("Tickets").locator("option")).to_have_text([re.compile("^f104:")])
    option(lab, "What failed", "missed hand-over (1)").click()
    expect(lab).to_contain_text("The policy gives this ticket to ")
    expect(section(lab, "Reply")).to_contain_text("I do not know.")


# Decision walk


def paths(**answers: str) -> Iterator[dict[str, str]]:
    """Give every way through the questions."""
    steps, branch = walk(answers)
    if branch:
        yield answers
    else:
        for _, value in QUESTIONS[steps[-1]].options:
            yield from paths(**answers, **{steps[-1]: value})


def label(question: str, value: str) -> str:
    return next(label for label, answer in QUESTIONS[question].options if answer == value)


def test_both_worked_cases_come_out_right(open_notebook: Opener) -> None:
    lab = open_walk(open_notebook("04_which_one"))
    for scenario, branch, evidence in (("facts", "rag", "today's facts are right for 0.67"), ("behaviour", "lora", "the voice is right in 0.67")):
        lab.get_by_role("button", name=f"Worked example {SCENARIOS[scenario]}").click()
        expect(lab.locator(".fern-card")).to_contain_text(BRANCHES[branch])
        expect(lab.locator(".fern-card")).to_contain_text(evidence)


def test_every_answer_leads_on(open_notebook: Opener) -> None:
    lab = open_walk(open_notebook("04_which_one"))
    reached = set()
    for answers in paths():
        for name, value in answers.items():
            option(lab, QUESTIONS[name].text, label(name, value)).click()
        steps, branch = walk(answers)
        expect(lab.locator(".fern-card")).to_contain_text(BRANCHES[branch])
        expect(lab.locator(".widget-toggle-buttons:visible > .widget-label")).to_have_text([QUESTIONS[name].text for name in steps])
        reached.add(branch)
    assert reached == set(BRANCHES)


def test_an_own_case_is_saved(open_notebook: Opener, server: Server) -> None:
    lab = open_walk(open_notebook("04_which_one"))
    lab.get_by_role("button", name=f"Worked example {SCENARIOS['facts']}").click()
    lab.get_by_label("Your own case").fill("Our bot does not know the new tariff.")
    lab.get_by_role("button", name="Save my case").click()
    expect(lab).to_contain_text("✓ Saved as my_case.json")
    assert json.loads((server.workspace / "my_case.json").read_text(encoding="utf-8"))["branch"] == "rag"


# Claims


def test_a_claim_is_computed_again_and_compared(open_notebook: Opener) -> None:
    lab = open_recompute(open_notebook("06_behaviour_claims"))
    lab.get_by_label("Claim").select_option(index=2)
    lab.get_by_role("button", name="Compute again").click()
    expect(lab.locator(".fern-card")).to_contain_text("as stored")
    expect(lab.locator(".fern-card")).to_contain_text("resolved, LoRA: ")


def test_other_assumptions_change_what_updates_cost(open_notebook: Opener) -> None:
    lab = open_costs(open_notebook("05_knowledge_claims"))
    for name, number, cheaper in (("Questions a month", "100", "RAG takes less here"), ("Questions a month", "9000000", "Fine-tuning takes less here"), ("Updates a month", "90000", "RAG takes less here")):
        lab.get_by_label(name).fill(number)
        lab.get_by_label(name).press("Tab")
        expect(lab.locator(".fern-card")).to_contain_text(cheaper)


# What a learner sees


def full_toggle(lab: Locator) -> None:
    lab.get_by_label("Beside it").select_option("base bot")
    option(lab, "Tool", "RAG").click()
    expect(section(lab, "Passages").first).to_contain_text("cited")
    expect(section(lab, "Passages").nth(1)).to_contain_text("from memory")
    for passage in lab.locator("summary").all():
        passage.click()


def full_quiz(lab: Locator) -> None:
    for case in lab.locator("> .widget-vbox").all():
        option(case, "Diagnosis", "both").click()
        case.get_by_role("button", name="Reveal").click()
        expect(case.locator(".fern-card")).to_be_visible()


def full_predictions(lab: Locator) -> None:
    lab.get_by_role("button", name="Keep my predictions").click()
    expect(lab).to_contain_text("✓ Kept.")


def full_machine(lab: Locator) -> None:
    lab.get_by_role("button", name="Sync").click()
    expect(said(answers(lab, "After"), "facts in the weights")).to_be_visible()
    for passage in lab.locator("summary").all():
        passage.click()


def full_tracer(lab: Locator) -> None:
    option(lab, "What failed", "misread (1)").click()
    expect(section(lab, "Reply")).to_contain_text("It lasts a while.")
    for passage in lab.locator("summary").all():
        passage.click()


def full_walk(lab: Locator) -> None:
    for name, answer in {"kind": "both", "changes": "no", "citations": "no", "examples": "no", "unsure": "yes"}.items():
        option(lab, QUESTIONS[name].text, answer).click()
    expect(lab.locator(".fern-card")).to_contain_text(BRANCHES["start"])


def full_recompute(lab: Locator) -> None:
    lab.get_by_role("button", name="Compute again").click()
    expect(lab.locator(".fern-card")).to_contain_text("as stored")


def full_costs(lab: Locator) -> None:
    lab.get_by_label("Updates a month").fill("123456789")
    lab.get_by_label("Updates a month").press("Tab")
    expect(lab.locator(".fern-card")).to_contain_text("RAG takes less here")


# From the notebooks that the tests above used last to the one that the tests below use: few kernels start again.
LABS: dict[str, tuple[str, Callable[[NotebookPage], Locator], Callable[[Locator], None]]] = {
    "costs": ("05_knowledge_claims", open_costs, full_costs),
    "recompute": ("06_behaviour_claims", open_recompute, full_recompute),
    "decision_walk": ("04_which_one", open_walk, full_walk),
    "tracer": ("01_rag_pipeline", open_tracer, full_tracer),
    "time_machine": ("01_rag_pipeline", open_machine, full_machine),
    "diagnosis": ("00_two_bots", open_quiz, full_quiz),
    "predictions": ("00_two_bots", open_predictions, full_predictions),
    "toggle": ("00_two_bots", open_toggle, full_toggle),
}


@pytest.mark.parametrize("name", LABS)
def test_a_lab_fits_and_nothing_needs_sideways_scrolling(open_notebook: Opener, screenshots: Path, name: str) -> None:
    file, open_lab, fill = LABS[name]
    notebook = open_notebook(file)
    lab = open_lab(notebook)

    def look(state: str) -> None:
        for viewport in VIEWPORTS:
            notebook.resize(viewport)
            lab.evaluate("lab => lab.scrollIntoView()")
            notebook.page.screenshot(path=screenshots / f"{name}_{viewport['width']}x{viewport['height']}_{state}.png")
            assert notebook.misfits(lab) == []

    look("new")
    fill(lab)
    look("used")
    assert notebook.barriers(lab) == []


def test_what_does_not_fit_is_found(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_quiz(notebook)
    lab.locator(".widget-html").nth(1).evaluate("element => { element.style.width = '3000px' }")
    assert any("sticks out" in misfit for misfit in notebook.misfits(lab))


def test_a_barrier_is_found(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_quiz(notebook)
    lab.get_by_role("button", name="Reveal").first.evaluate("button => { button.textContent = ''; button.title = '' }")
    assert any(barrier.startswith("button-name") for barrier in notebook.barriers(lab))


# How it feels


def seconds_until(lab: Locator, act: Callable[[], object], sign: Locator) -> float:
    """Return the seconds from an action until ``sign`` is there."""
    begin = time.perf_counter()
    act()
    sign.wait_for()
    return time.perf_counter() - begin


def test_a_known_reply_is_there_at_once_and_a_new_one_soon(open_notebook: Opener) -> None:
    lab = open_toggle(open_notebook("00_two_bots"))
    option(lab, "Tool", "RAG").click()
    option(lab, "Tool", "base bot").click()
    memory, source = (section(lab, "Passages").filter(has_text=text) for text in ("this bot answers from memory", "[1]"))
    memory.wait_for()
    source_then_memory = (("RAG", source), ("base bot", memory)) * 10
    known = [seconds_until(lab, option(lab, "Tool", tool).click, sign) for tool, sign in source_then_memory]
    assert median(known) < 0.3, known
    tickets = lab.get_by_label("Ticket").locator("option").all_inner_texts()[1:21]
    new = [seconds_until(lab, partial(lab.get_by_label("Ticket").select_option, ticket), section(lab, "Ticket").filter(has_text=ticket.partition(": ")[2].rstrip("…"))) for ticket in tickets]
    assert len(new) == 20 and median(new) < 2, new


# Two hundred operations in the browser, on each of the four labs. Four minutes, so only on request: pytest -m long tests/browser

OPERATIONS = 200
WARM_UP = 60
GROWTH = 1.10
WORDS = ("", "How long is the warranty?", EVIL, "a " * 400, "# Title\n\nA sentence.")
OPERATE = """(lab, [pick, choice, words]) => {
  const usable = [...lab.querySelectorAll('button, select, input, textarea, summary')].filter(control => control.offsetParent && !control.disabled);
  const control = usable[Math.floor(pick * usable.length)];
  if (!control) return;
  if (control.matches('button, summary')) return control.click();
  if (control.matches('select')) control.selectedIndex = Math.floor(choice * control.options.length);
  else control.value = words;
  for (const name of ['input', 'change']) control.dispatchEvent(new Event(name, {bubbles: true}));
}"""


def toggle_works(lab: Locator) -> None:
    lab.get_by_label("Your own words").fill("")
    option(lab, "Scenario", SCENARIOS["facts"]).click()
    lab.get_by_label("Ticket").select_option(index=1)
    full_toggle(lab)


def machine_works(lab: Locator) -> None:
    lab.get_by_role("button", name="Shipped edition").click()
    full_machine(lab)


def walk_works(lab: Locator) -> None:
    lab.get_by_role("button", name="Worked example 1").click()
    expect(lab.locator(".fern-card").first).to_contain_text(BRANCHES["rag"])


WORKS = {"toggle": toggle_works, "time_machine": machine_works, "tracer": full_tracer, "decision_walk": walk_works}


def memory_of(notebook: NotebookPage, server: Server) -> int:
    """Return the bytes that the notebook's kernel holds, once it has done all that was asked of it."""
    file = server.workspace / "memory.txt"
    notebook.run_code(f"import gc, pathlib, psutil\ngc.collect()\npathlib.Path({str(file)!r}).write_text(str(psutil.Process().memory_info().rss))")
    return int(file.read_text())


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", WORKS)
def test_with_an_adapter_two_hundred_random_operations_leave_a_lab_working(open_notebook: Opener, server: Server, name: str) -> None:
    file, open_lab, _ = LABS[name]
    notebook = open_notebook(file)
    lab, rng, before = open_lab(notebook), random.Random(name), 0
    for number in range(OPERATIONS):
        if number == WARM_UP:
            before = memory_of(notebook, server)
        lab.evaluate(OPERATE, [rng.random(), rng.random(), rng.choice(WORDS)])
        notebook.page.wait_for_timeout(100)
    after = memory_of(notebook, server)
    WORKS[name](lab)
    expect_no_script_ran(notebook)
    assert notebook.misfits(lab) == []
    print(f"{name}: kernel {before / 1e6:.0f} MB after {WARM_UP} operations, {after / 1e6:.0f} MB after {OPERATIONS}")
    assert after < GROWTH * before


# With an adapter: trains it, which takes about 80 s on two idle cores. Leave it out with -k "not adapter".


def test_with_an_adapter_the_hybrid_hands_over(open_notebook: Opener) -> None:
    lab = open_toggle(open_notebook("00_two_bots"))
    option(lab, "Scenario", SCENARIOS["behaviour"]).click()
    expect(section(lab, "Escalation")).to_contain_text("missed: not handed over")
    option(lab, "Tool", ARM_NAMES["hybrid"]).click()
    expect(lab.locator(".fern-card")).to_contain_text("it trains its adapter, which takes one to two minutes")
    expect(section(lab, "Escalation")).to_contain_text("right: handed to", timeout=800_000)
    expect(section(lab, "Passages")).to_contain_text("[1]")
    option(lab, "Tool", ARM_NAMES["lora"]).click()
    expect(section(lab, "Passages")).to_contain_text("this bot answers from memory")
    expect(section(lab, "Escalation")).to_contain_text("right: handed to")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_with_an_adapter_every_tool_shows_what_it_can(open_notebook: Opener, scenario: str) -> None:
    lab = open_toggle(open_notebook("00_two_bots"))
    option(lab, "Scenario", SCENARIOS[scenario]).click()
    lab.get_by_role("button", name="Ask").click()
    for arm, name in ARM_NAMES.items():
        option(lab, "Tool", name).click()
        reads, behaves = arm in ("rag", "hybrid"), arm in ("lora", "hybrid")
        expect(section(lab, "Passages")).to_contain_text("[1]" if reads else "this bot answers from memory")
        if scenario == "facts":
            facts = expect(section(lab, "Facts"))
            facts.to_contain_text("✓ right") if reads else facts.not_to_contain_text("✓ right")
        else:
            expect(section(lab, "Escalation")).to_contain_text("right: handed to" if behaves else "missed: not handed over")


def test_with_an_adapter_the_labs_of_notebook_03_react(open_notebook: Opener) -> None:
    """One ticket in ten is asked: the lab is the same, and nobody waits for three hundred."""
    notebook = open_notebook("03_hybrid")
    lab = notebook.lab("hybrid = SupportBot(", "ToggleLab(")
    option(lab, "Tool", ARM_NAMES["hybrid"]).click()
    expect(section(lab, "Facts")).to_contain_text("✓ right")
    notebook.run_code("from helpers import scoreboard\nevery = scoreboard.all_tickets()\nscoreboard.all_tickets = lambda: every[::10]")
    tracer = notebook.lab("tickets = all_tickets()", "tracer = FailureTracer(", "tracer")
    for bot in ("RAG", "hybrid"):
        option(tracer, "Bot", bot).click()
        tracer.locator(".widget-toggle-buttons").filter(has_text="What failed").get_by_role("button").first.click()
        expect(section(tracer, "Reply")).to_be_visible()


# nbval runs every cell of every notebook; here one shows that JupyterLab does so too, and the others run on request.
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name == "00_two_bots" else pytest.mark.long) for name in EXERCISES])
def test_with_an_adapter_a_notebook_runs_from_top_to_bottom(open_notebook: Opener, name: str) -> None:
    ran = open_notebook(name).run_all()
    assert ran["red"] == [] and ran["cells"] == ran["ran"] > 10
