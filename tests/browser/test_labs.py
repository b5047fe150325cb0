"""Each lab as a learner uses it: in JupyterLab, with the mouse, the keyboard and their own eyes."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from notebook_page import NotebookPage, Opener, Server, Viewport, expect_chosen, option
from playwright.sync_api import Locator, expect

from helpers.decisions import BRANCHES, QUESTIONS, walk
from helpers.scenarios import ARM_NAMES, SCENARIOS, TICKETS, load_tickets, read_lines
from helpers.toggle import FIRST

VIEWPORTS = ((1280, 800), (1920, 1080))
EVIL = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
WARRANTY = "Warranty: how long and what is covered"
# The figures are made up: with them the walk needs no adapter and no measurement.
MEASURED = """
from helpers.scenarios import ARMS
from helpers.scoring import estimate
measured = {arm: {name: estimate([1.0, 1.0, 0.0]) for name in ("facts_current", "voice", "resolved")} for arm in ARMS}
"""


def open_toggle(notebook: NotebookPage) -> Locator:
    return notebook.lab("lab = ToggleLab()")


def open_quiz(notebook: NotebookPage) -> Locator:
    return notebook.lab("quiz = DiagnosisQuiz()")


def open_editor(notebook: NotebookPage) -> Locator:
    """Also gives the learner's copy back its shipped articles."""
    return notebook.lab("from helpers.knowledge import read_article", "help_center = HelpCenter.from_folder", "mine = workspace()", "editor = ArticleEditor(")


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
    for tool in ("base bot", "prompt only"):
        press("Tab")
        assert notebook.focused() == tool
    press("Enter")
    expect_chosen(option(lab, "Tool", "prompt only"))
    for _ in ("RAG", "fine-tuned", "hybrid", "the list"):
        press("Tab")
    press("Space")
    press("ArrowDown")
    press("Enter")
    expect(section(lab, "Ticket")).to_contain_text(text_of(FIRST["behaviour"][1]))
    press("Tab")
    notebook.page.keyboard.type("How long is the warranty?")
    press("Tab")
    press("Enter")
    expect(section(lab, "Ticket")).to_contain_text("How long is the warranty?")
    expect(section(lab, "Facts")).to_contain_text("Your own words")
    assert notebook.focused() == "Ask", "the keyboard stays where it was"


def test_a_hostile_ticket_is_shown_as_text(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_toggle(notebook)
    lab.get_by_label("Your own words").fill(f"How long is the warranty? {EVIL}")
    lab.get_by_role("button", name="Ask").click()
    expect(section(lab, "Ticket")).to_contain_text(EVIL)
    expect(lab.locator("script, img")).to_have_count(0)
    expect_no_script_ran(notebook)


@pytest.mark.parametrize("viewport", VIEWPORTS)
def test_tools_and_verdict_are_seen_at_once(open_notebook: Opener, viewport: Viewport) -> None:
    lab = open_toggle(open_notebook("00_two_bots", viewport))
    for tool in ("prompt only", "base bot"):
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
        expect(case.get_by_role("button", name="Reveal")).to_be_disabled()
        option(case, "Diagnosis", "facts").click()
        expect_chosen(option(case, "Diagnosis", "facts"))
        case.get_by_role("button", name="Reveal").click()
        expect(case.locator(".fern-card")).to_contain_text(f"{'✓ Right' if row['diagnosis'] == 'facts' else '✗ Not facts'}: {row['diagnosis']}. {row['why']}")
        expect(option(case, "Diagnosis", "behaviour")).to_be_disabled()
    right = sum(row["diagnosis"] == "facts" for row in rows)
    expect(lab).to_contain_text(f"{right} right of {len(rows)} revealed")


# Article editor


def test_an_edited_fact_reaches_the_answer_and_its_source_and_undo_takes_it_back(open_notebook: Opener) -> None:
    notebook = open_notebook("01_rag_pipeline")
    lab = open_editor(notebook)
    lab.get_by_label("Article").select_option(WARRANTY)
    article = lab.get_by_label("Text")
    expect(article).to_have_value(re.compile("three years"))
    article.fill(article.input_value().replace("three years", "eleven years"))
    lab.get_by_role("button", name="Sync").press("Enter")
    answers = lab.locator(".fern-card", has=lab.page.get_by_role("heading", name="Answer"))
    before, after = answers.nth(0), answers.nth(1)
    expect(after.locator(".fern-said")).to_contain_text("eleven years")
    expect(before.locator(".fern-said")).to_contain_text("three years")
    expect(lab).to_contain_text("Passages: 0 added, 1 updated, 0 deleted")
    source = after.locator("details").filter(has_text="✓ cited").first
    source.locator("summary").click()
    expect(source).to_contain_text("eleven years")
    expect(source).to_contain_text("warranty.md")
    lab.get_by_role("button", name="Undo").press("Enter")
    expect(after.locator(".fern-said")).to_contain_text("three years")
    expect(article).to_have_value(re.compile("three years"))
    expect(lab.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_hostile_article_is_shown_as_text(open_notebook: Opener) -> None:
    notebook = open_notebook("01_rag_pipeline")
    lab = open_editor(notebook)
    lab.get_by_label("Article").select_option(WARRANTY)
    lab.get_by_label("Text").fill(f"# Warranty {EVIL}\n\n## How long is the warranty? {EVIL}\n\nThe warranty is nine years. {EVIL}\n")
    lab.get_by_role("button", name="Sync").click()
    after = lab.locator(".fern-card", has=lab.page.get_by_role("heading", name="Answer after"))
    expect(after).to_contain_text(EVIL)
    expect(lab.locator("script, img")).to_have_count(0)
    expect_no_script_ran(notebook)


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
        assert lab.locator(".widget-toggle-buttons:visible > .widget-label").all_inner_texts() == [QUESTIONS[name].text for name in steps]
        reached.add(branch)
    assert reached == set(BRANCHES)


def test_an_own_case_is_saved(open_notebook: Opener, server: Server) -> None:
    lab = open_walk(open_notebook("04_which_one"))
    lab.get_by_role("button", name=f"Worked example {SCENARIOS['facts']}").click()
    lab.get_by_label("Your own case").fill("Our bot does not know the new tariff.")
    lab.get_by_role("button", name="Save my case").click()
    expect(lab).to_contain_text("✓ Saved as my_case.json")
    assert json.loads((server.workspace / "my_case.json").read_text(encoding="utf-8"))["branch"] == "rag"


# What a learner sees


def full_toggle(lab: Locator) -> None:
    option(lab, "Tool", "RAG").click()
    expect(section(lab, "Passages")).to_contain_text("cited")
    for passage in lab.locator("summary").all():
        passage.click()


def full_quiz(lab: Locator) -> None:
    for case in lab.locator("> .widget-vbox").all():
        option(case, "Diagnosis", "both").click()
        case.get_by_role("button", name="Reveal").click()
        expect(case.locator(".fern-card")).to_be_visible()


def full_editor(lab: Locator) -> None:
    lab.get_by_label("Article").select_option(WARRANTY)
    lab.get_by_role("button", name="Sync").click()
    expect(lab).to_contain_text("Answer after")
    for passage in lab.locator("summary").all():
        passage.click()


def full_walk(lab: Locator) -> None:
    for name, answer in {"kind": "both", "changes": "no", "citations": "no", "examples": "no", "unsure": "yes"}.items():
        option(lab, QUESTIONS[name].text, answer).click()
    expect(lab.locator(".fern-card")).to_contain_text(BRANCHES["start"])


LABS: dict[str, tuple[str, Callable[[NotebookPage], Locator], Callable[[Locator], None]]] = {
    "toggle": ("00_two_bots", open_toggle, full_toggle),
    "diagnosis": ("00_two_bots", open_quiz, full_quiz),
    "editor": ("01_rag_pipeline", open_editor, full_editor),
    "decision_walk": ("04_which_one", open_walk, full_walk),
}


@pytest.mark.parametrize("viewport", VIEWPORTS)
@pytest.mark.parametrize("name", LABS)
def test_a_lab_fits_and_nothing_needs_sideways_scrolling(open_notebook: Opener, screenshots: Path, name: str, viewport: Viewport) -> None:
    file, open_lab, fill = LABS[name]
    notebook = open_notebook(file, viewport)
    lab = open_lab(notebook)
    picture = f"{name}_{viewport[0]}x{viewport[1]}"
    notebook.page.screenshot(path=screenshots / f"{picture}_new.png")
    assert notebook.misfits(lab) == []
    fill(lab)
    lab.evaluate("lab => lab.scrollIntoView()")
    notebook.page.screenshot(path=screenshots / f"{picture}_used.png")
    assert notebook.misfits(lab) == []


def test_what_does_not_fit_is_found(open_notebook: Opener) -> None:
    notebook = open_notebook("00_two_bots")
    lab = open_quiz(notebook)
    lab.locator(".widget-html").nth(1).evaluate("element => { element.style.width = '3000px' }")
    assert any("sticks out" in misfit for misfit in notebook.misfits(lab))


# With an adapter: trains it, which takes about 80 s on two idle cores. Leave it out with -k "not adapter".


def test_with_an_adapter_the_hybrid_hands_over(open_notebook: Opener) -> None:
    lab = open_toggle(open_notebook("00_two_bots"))
    option(lab, "Scenario", SCENARIOS["behaviour"]).click()
    expect(section(lab, "Escalation")).to_contain_text("missed: not handed over")
    option(lab, "Tool", ARM_NAMES["hybrid"]).click()
    expect(lab.locator(".fern-card")).to_contain_text("it trains its adapter, which takes about a minute")
    expect(section(lab, "Escalation")).to_contain_text("right: handed to", timeout=800_000)
    expect(section(lab, "Passages")).to_contain_text("[1]")
    option(lab, "Tool", ARM_NAMES["lora"]).click()
    expect(section(lab, "Passages")).to_contain_text("this bot answers from memory")
    expect(section(lab, "Escalation")).to_contain_text("right: handed to")
