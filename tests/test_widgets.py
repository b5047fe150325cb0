"""Every control of every widget, fired as a learner would, with bots that answer at once."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import FakeBot, passage, reply
from fixtures import FakeEmbedder, own_workspace  # noqa: F401
from ipywidgets import Widget

from helpers.bots import BotError
from helpers.controls import Quiet
from helpers.decisions import BRANCHES, evidence_from, walk
from helpers.knowledge import HelpCenter
from helpers.paths import write_whole
from helpers.scenarios import ARMS, Ticket, load_facts, load_tickets
from helpers.time_machine import TEMPLATE, own_copy
from helpers.toggle import FIRST, OWN
from helpers.widgets import DecisionWalk, DiagnosisQuiz, TimeMachine, ToggleLab, TrainingProgress, plain_text

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">'


class Maker:
    """Makes one fake bot an arm and counts how often."""

    def __init__(self, make: Callable[[str], FakeBot] = lambda arm: FakeBot(f"I am {arm}.")) -> None:
        self.make, self.made = make, []

    def __call__(self, arm: str) -> FakeBot:
        self.made.append(arm)
        return self.make(arm)


def shown(lab: ToggleLab) -> str:
    return plain_text(lab.card.value)


# Toggle lab


def test_making_the_lab_makes_no_bot() -> None:
    maker = Maker()
    assert "Predict first" in shown(ToggleLab(maker)) and maker.made == []


@pytest.mark.parametrize("scenario", ["facts", "behaviour"])
def test_every_tool_answers_in_every_scenario(scenario: str) -> None:
    maker = Maker()
    lab = ToggleLab(maker)
    lab.scenario.value = scenario
    for arm in (*ARMS, *ARMS):
        lab.tool.value = arm
        lab.ask.click()
        assert f"Reply\nI am {arm}.\n" in shown(lab)
        assert load_by_id(scenario)[lab.ticket.value] in shown(lab)
    assert sorted(maker.made) == sorted(ARMS), "bots are made once and kept"


def load_by_id(scenario: str) -> dict[str, str]:
    return {t.id: t.text for t in (*load_tickets(scenario), *load_tickets("unanswerable"))}


def test_a_ticket_is_answered_when_it_is_chosen_and_well_chosen_ones_come_first() -> None:
    lab = ToggleLab(Maker())
    for scenario, first in FIRST.items():
        lab.scenario.value = scenario
        ids = [value for _, value in lab.ticket.options]
        assert tuple(ids[: len(first)]) == first and len(ids) == len(set(ids))
        for i in first[::-1]:
            lab.ticket.value = i
            assert load_by_id(scenario)[i] in shown(lab)


def test_changing_the_scenario_asks_once() -> None:
    bot = FakeBot()
    lab = ToggleLab(lambda arm: bot)
    lab.scenario.value = "behaviour"
    assert bot.asked == [load_by_id("behaviour")[FIRST["behaviour"][0]]]


def test_own_words_are_asked_and_shown_as_text() -> None:
    lab = ToggleLab(lambda arm: FakeBot(EVIL))
    lab.own_words.value = f"Hello {EVIL}"
    assert "Hello" in shown(lab), "Enter asks"
    lab.ask.click()
    assert lab.ticket.value == OWN and shown(lab).startswith(f"Ticket\nHello {EVIL}\nReply\n{EVIL}")
    assert "<script" not in lab.card.value and "<img" not in lab.card.value
    lab.tool.value = "hybrid"
    assert f"Hello {EVIL}" in shown(lab), "another tool gets the same words"
    lab.ticket.value = FIRST["facts"][0]
    assert "Hello" not in shown(lab)


def test_without_own_words_there_is_nothing_to_answer() -> None:
    maker = Maker()
    lab = ToggleLab(maker)
    lab.ticket.value = OWN
    assert "nothing to answer" in shown(lab) and maker.made == []


@pytest.mark.parametrize("error", [BotError("The ticket is far too long."), OSError("disk full"), ValueError("odd")])
def test_an_error_is_a_message_and_the_lab_goes_on(error: Exception) -> None:
    lab = ToggleLab(lambda arm: FakeBot("fine", error if arm == "rag" else None))
    lab.tool.value = "rag"
    assert str(error) in shown(lab) and "Traceback" not in shown(lab)
    assert not lab.ask.disabled
    lab.tool.value = "lora"
    assert "Reply\nfine" in shown(lab)


def test_a_bot_that_could_not_be_made_is_made_again_at_the_next_try() -> None:
    tries = []

    def make(arm: str) -> FakeBot:
        tries.append(arm)
        if len(tries) == 1:
            raise OSError("The adapter cannot be written: disk full")
        return FakeBot("made it")

    lab = ToggleLab(make)
    lab.ask.click()
    assert "disk full" in shown(lab)
    lab.ask.click()
    assert "made it" in shown(lab)


def test_clicks_while_a_bot_works_do_not_nest_and_the_last_choice_is_shown() -> None:
    class Impatient(FakeBot):
        depth = 0

        def ask(self, question: str):
            assert self.depth == 0 and not lab.ask.disabled, "a disabled button would lose the keyboard"
            self.depth = 1
            if not self.asked:
                lab.ask.click()
                lab.scenario.value = "behaviour"
            self.depth = 0
            return super().ask(question)

    bot = Impatient()
    lab = ToggleLab(lambda arm: bot)
    lab.ask.click()
    assert len(bot.asked) == 2
    assert shown(lab).startswith(f"Ticket\n{load_by_id('behaviour')[FIRST['behaviour'][0]]}")


def test_the_card_says_what_is_going_on_while_a_bot_is_made() -> None:
    seen = []

    def make(arm: str) -> FakeBot:
        seen.append(shown(lab))
        return FakeBot()

    lab = ToggleLab(make)
    lab.ask.click()
    lab.tool.value = "hybrid"
    assert "base bot is being loaded" in seen[0] and "two minutes" not in seen[0]
    assert "hybrid bot is being loaded" in seen[1] and "two minutes" in seen[1]


def test_callbacks_print_nothing(capsys: pytest.CaptureFixture) -> None:
    lab = ToggleLab(Maker())
    lab.tool.value = "rag"
    lab.ask.click()
    assert capsys.readouterr() == ("", "")


def test_two_tools_stand_side_by_side_on_request() -> None:
    maker = Maker()
    lab = ToggleLab(maker)
    lab.ask.click()
    assert lab.card_beside.layout.display == "none" and maker.made == ["base"]
    lab.beside.value = "rag"
    assert plain_text(lab.card.value).startswith("base bot\nTicket") and "I am base." in shown(lab)
    assert plain_text(lab.card_beside.value).startswith("RAG\nTicket") and "I am rag." in plain_text(lab.card_beside.value)
    lab.ticket.value = FIRST["facts"][1]
    assert all(load_by_id("facts")[FIRST["facts"][1]] in plain_text(card.value) for card in (lab.card, lab.card_beside))
    lab.beside.value = ""
    assert lab.card_beside.layout.display == "none" and shown(lab).startswith("Ticket")


def test_a_reply_is_kept_until_ask_is_pressed() -> None:
    bot = FakeBot()
    lab = ToggleLab(lambda arm: bot)
    for tool in ("rag", "base", "rag"):
        lab.tool.value = tool
    assert len(bot.asked) == 2
    lab.ask.click()
    assert len(bot.asked) == 3


def test_an_interrupted_answer_leaves_a_lab_that_works() -> None:
    lab = ToggleLab(lambda arm: FakeBot("fine", KeyboardInterrupt() if arm == "rag" else None))
    lab.tool.value = "rag"
    assert "Stopped. Nothing is lost" in shown(lab)
    lab.tool.value = "base"
    assert "Reply\nfine" in shown(lab)


# Diagnosis quiz


def test_six_transcripts_reveal_only_after_a_choice() -> None:
    quiz = DiagnosisQuiz()
    assert len(quiz.cases) == 6
    for case in quiz.cases:
        assert case.row["why"] not in case.answer.value
        case.reveal.click()
        assert plain_text(case.answer.value) == "• Choose a diagnosis first."
        case.choice.value = case.row["diagnosis"]
        case.reveal.click()
        assert plain_text(case.answer.value) == f"✓ Right: {case.row['diagnosis']}. {case.row['why']}"
        assert case.choice.disabled and not case.reveal.disabled
    assert plain_text(quiz.score.value).startswith("6 right of 6 revealed")


def test_a_wrong_diagnosis_is_counted_and_explained() -> None:
    quiz = DiagnosisQuiz([{"ticket": EVIL, "reply": EVIL, "diagnosis": "both", "why": EVIL}])
    case = quiz.cases[0]
    case.choice.value = "facts"
    case.reveal.click()
    assert plain_text(case.answer.value).startswith("✗ Not facts: both.")
    assert plain_text(quiz.score.value).startswith("0 right of 1 revealed")
    assert EVIL in plain_text(case.transcript.value)
    assert "<script" not in case.transcript.value + case.answer.value and "<img" not in case.transcript.value + case.answer.value


# Decision walk


@pytest.mark.parametrize(
    ("answers", "steps", "branch"),
    [
        ({}, 1, None),
        ({"kind": "facts", "changes": "yes"}, 3, None),
        ({"kind": "facts", "changes": "yes", "citations": "no"}, 3, "rag"),
        ({"kind": "facts", "changes": "no", "citations": "yes"}, 3, "rag"),
        ({"kind": "facts", "changes": "no", "citations": "no"}, 4, None),
        ({"kind": "facts", "changes": "no", "citations": "no", "unsure": "no"}, 4, "prompt"),
        ({"kind": "behaviour", "examples": "yes"}, 2, "lora"),
        ({"kind": "behaviour", "examples": "no", "unsure": "yes"}, 2, "prompt"),
        ({"kind": "behaviour", "examples": "yes", "changes": "yes", "unsure": "yes"}, 2, "lora"),
        ({"kind": "both", "changes": "yes", "citations": "no", "examples": "yes"}, 4, "hybrid"),
        ({"kind": "both", "changes": "yes", "citations": "no", "examples": "no"}, 4, "rag"),
        ({"kind": "both", "changes": "no", "citations": "no", "examples": "yes"}, 4, "hybrid"),
        ({"kind": "both", "changes": "no", "citations": "no", "examples": "no", "unsure": "yes"}, 5, "start"),
        ({"kind": "unsure"}, 2, None),
        ({"kind": "unsure", "unsure": "yes"}, 2, "start"),
    ],
)
def test_branches(answers: dict[str, str], steps: int, branch: str | None) -> None:
    assert (len(walk(answers)[0]), walk(answers)[1]) == (steps, branch)
    shown_walk = DecisionWalk({name: f"evidence for {name}" for name in BRANCHES})
    for name, value in answers.items():
        shown_walk.questions[name].value = value
    visible = [name for name, question in shown_walk.questions.items() if question.layout.display != "none"]
    assert len(visible) == steps and shown_walk.branch == branch
    assert (f"evidence for {branch}" in plain_text(shown_walk.result.value)) == (branch is not None)


def test_worked_examples_lead_to_their_tools() -> None:
    decision = DecisionWalk({"rag": "0.93 of the tickets"})
    decision.examples["behaviour"].click()
    assert decision.branch == "lora" and "Fine-tuning." in decision.result.value and "Not measured yet" in decision.result.value
    decision.examples["facts"].click()
    assert decision.branch == "rag" and "0.93 of the tickets" in decision.result.value
    assert decision.questions["examples"].value is None


def test_an_own_case_is_saved_and_comes_back(own_workspace: Path) -> None:  # noqa: F811
    decision = DecisionWalk()
    decision.case.value = "Unser Bot für Öfen </textarea>"
    decision.examples["facts"].click()
    decision.save_button.click()
    saved = json.loads((own_workspace / "my_case.json").read_text(encoding="utf-8"))
    assert saved == {"case": "Unser Bot für Öfen </textarea>", "answers": {"kind": "facts", "changes": "yes", "citations": "yes"}, "branch": "rag"}
    assert "Saved as my_case.json" in plain_text(decision.status.value)
    again = DecisionWalk()
    assert (again.case.value, again.answers, again.branch) == ("Unser Bot für Öfen </textarea>", decision.answers, "rag")


def test_an_empty_case_replaces_nothing(own_workspace: Path) -> None:  # noqa: F811
    decision = DecisionWalk()
    decision.case.value = "my case"
    decision.save()
    decision.case.value = "   "
    assert decision.save() is None and "Nothing saved" in plain_text(decision.status.value)
    assert json.loads((own_workspace / "my_case.json").read_text())["case"] == "my case"


@pytest.mark.parametrize("content", ["{half", "[]", '{"case": 3}', "[1]"])
def test_a_damaged_case_is_set_aside(own_workspace: Path, content: str) -> None:  # noqa: F811
    own_workspace.mkdir(parents=True)
    (own_workspace / "my_case.json").write_text(content)
    decision = DecisionWalk()
    decision.case.value = "another case"
    assert decision.save() is not None
    assert (own_workspace / "my_case.damaged.json").read_text() == content


def test_a_case_that_cannot_be_written_stays_in_the_box(own_workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    decision = DecisionWalk()
    decision.case.value = "my case"
    (own_workspace / "my_case.json").mkdir(parents=True)
    assert decision.save() is None
    assert "Not saved" in plain_text(decision.status.value) and decision.case.value == "my case"


def test_evidence_names_the_measured_shares() -> None:
    score = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 10}
    evidence = evidence_from({arm: {metric: score for metric in ("facts_current", "voice", "resolved")} for arm in ARMS})
    assert set(evidence) == set(BRANCHES) and all("0.90 [0.80, 1.00]" in sentence for sentence in evidence.values())


# Training progress


def test_training_progress_follows_the_steps() -> None:
    progress = TrainingProgress()
    for step in (1, 2, 3):
        progress(step, 3, 3.0 / step)
    assert (progress.bar.value, progress.bar.max, progress.losses) == (3, 3, [3.0, 1.5, 1.0])
    assert plain_text(progress.label.value) == "Step 3 of 3, loss 1.00, done."


# Time machine


class Reader:
    """A bot that answers with the best passage."""

    def __init__(self, help_center: HelpCenter) -> None:
        self.help_center = help_center

    def ask(self, question: str):
        found = tuple(self.help_center.search(question, 1))
        return reply(f"{found[0].text} [1]", found, found, question=question)


FACT = replace(load_facts()["warranty-length"], first="two years", current="three years")
WARRANTY = Ticket("w", "How long is the warranty?", (FACT,), None, "question")
OLD = "# Warranty\n\nThe warranty is three years.\n"
NEW = OLD.replace("three", "five")
TYPED = "# A tank\n\nWater thrice a week, and tell nobody.\n"
BOTS = {"memory": lambda help_center: FakeBot("It is two years, not three years."), "RAG": Reader}


@pytest.fixture
def source(tmp_path: Path) -> HelpCenter:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "warranty.md").write_text(OLD)
    (folder / "watering.md").write_text("# A tank\n\nWater twice a week.\n")
    return HelpCenter.from_folder(folder, embedder=FakeEmbedder())


@pytest.fixture
def machine(source: HelpCenter) -> TimeMachine:
    return TimeMachine(source, [WARRANTY], BOTS)


def reported(machine: TimeMachine) -> str:
    return plain_text(machine.report.value)


def test_a_sync_shows_every_bot_before_and_after_and_leaves_the_source(machine: TimeMachine, source: HelpCenter) -> None:
    assert (machine.article.value, machine.text.value) == ("warranty", OLD), "the article that answers the ticket is open"
    machine.text.value = NEW
    machine.sync.click()
    assert reported(machine) == "✓ Passages: 0 added, 1 updated, 0 deleted, 1 unchanged. Articles touched: warranty."
    before, after = plain_text(machine.before.value), plain_text(machine.after.value)
    assert before.startswith("Before\nmemory\n") and after.startswith("After\nmemory\n")
    assert "The warranty is three years." in before and "The warranty is five years." in after
    assert "1 passage was embedded" in machine.seconds.value
    assert (source.folder / "warranty.md").read_text() == OLD


def test_both_answers_are_to_one_ticket(source: HelpCenter) -> None:
    """A choice is delivered in another thread, also while the bots answer."""

    class Chooser(FakeBot):
        def ask(self, question: str):
            machine.ticket.value = "t"
            return super().ask(question)

    bot = Chooser()
    machine = TimeMachine(source, [WARRANTY, Ticket("t", "How often do I water?", (), None, "question")], {"memory": lambda help_center: bot})
    machine.text.value = NEW
    machine.sync.click()
    assert bot.asked == [WARRANTY.text, WARRANTY.text] and machine.ticket.value == "t"


@pytest.mark.parametrize(("title", "name"), [("Größe & Gewicht", "größe-gewicht"), ("Гарантия", "гарантия"), ("Snake_case!", "snake-case")])
def test_a_title_in_another_language_names_its_article(machine: TimeMachine, title: str, name: str) -> None:
    machine.article.value = ""
    machine.text.value = f"# {title}\n\nA sentence.\n"
    machine.sync.click()
    assert machine.article.value == name and (machine.help_center.folder / f"{name}.md").exists()


def test_a_lab_is_free_again_after_an_answer_and_a_change_at_once() -> None:
    lab = Quiet()
    change = lab._quietly()
    lab._busy = True
    with change:
        lab._busy = False
    assert not lab._waits


def test_values_that_no_article_states_any_more_are_struck_through(machine: TimeMachine) -> None:
    machine.text.value = NEW
    machine.sync.click()
    assert "<del>two years</del> (old), not three years." in machine.before.value
    assert "<del>two years</del> (old), not <del>three years</del> (old)." in machine.after.value
    assert "<del>five" not in machine.after.value


def test_undo_brings_the_article_and_the_answer_back(machine: TimeMachine) -> None:
    machine.text.value = NEW
    machine.sync.click()
    machine.article.value = "watering"
    machine.undo.click()
    assert (machine.article.value, machine.text.value) == ("warranty", OLD)
    assert "three years" in plain_text(machine.after.value)
    machine.undo.click()
    assert "nothing to undo" in reported(machine)


def test_an_article_is_withdrawn_and_comes_back(machine: TimeMachine, source: HelpCenter) -> None:
    machine.withdraw.click()
    assert "1 deleted" in reported(machine) and "Water twice a week." in plain_text(machine.after.value)
    assert [value for _, value in machine.article.options] == ["watering", ""]
    assert (source.folder / "warranty.md").exists()
    machine.undo.click()
    assert "1 added" in reported(machine) and machine.text.value == OLD
    assert "The warranty is three years." in plain_text(machine.after.value)


def test_a_second_click_withdraws_no_article_that_nobody_chose(machine: TimeMachine) -> None:
    machine.withdraw.click()
    machine.withdraw.click()
    assert "Nothing to withdraw" in reported(machine) and set(machine.help_center.articles) == {"watering"}


def test_the_last_article_cannot_be_withdrawn(machine: TimeMachine) -> None:
    machine.withdraw.click()
    machine.article.value = "watering"
    machine.withdraw.click()
    assert "holds no article" in reported(machine) and machine.article.value == "watering"
    assert (machine.help_center.folder / "watering.md").exists()


def test_a_new_article_is_added_under_its_title_and_can_be_undone(machine: TimeMachine) -> None:
    machine.article.value = ""
    assert machine.text.value.startswith("# The title of your article")
    machine.text.value = "# Lost & found\n\nThe warranty is nine years.\n"
    machine.sync.click()
    assert "1 added" in reported(machine) and machine.article.value == "lost-found"
    machine.undo.click()
    assert not (machine.help_center.folder / "lost-found.md").exists() and "1 deleted" in reported(machine)


def test_a_new_article_overwrites_no_other(machine: TimeMachine) -> None:
    machine.article.value = ""
    machine.text.value = "# Watering\n\nNever.\n"
    machine.sync.click()
    assert "there is an article watering.md already" in reported(machine)
    assert (machine.help_center.folder / "watering.md").read_text() == "# A tank\n\nWater twice a week.\n"
    machine.withdraw.click()
    assert "Nothing to withdraw" in reported(machine)


def test_the_shipped_edition_comes_back_at_once_and_that_can_be_undone(machine: TimeMachine) -> None:
    machine.text.value = NEW
    machine.sync.click()
    machine.article.value = "watering"
    machine.withdraw.click()
    machine.shipped.click()
    files = {file.name: file.read_text() for file in machine.help_center.folder.glob("*.md")}
    assert files == {file.name: file.read_text() for file in machine.source.folder.glob("*.md")}
    machine.shipped.click()
    assert "shipped edition already" in reported(machine)
    machine.undo.click()
    assert machine.help_center.articles.keys() == {"warranty"} and "five years" in plain_text(machine.after.value)


def test_drafts_and_saved_edits_are_not_lost(machine: TimeMachine, source: HelpCenter) -> None:
    machine.text.value = NEW
    machine.article.value = "watering"
    machine.article.value = "warranty"
    assert machine.text.value == NEW
    machine.sync.click()
    machine.article.value = "watering"
    machine.withdraw.click()
    again = TimeMachine(source, [WARRANTY], BOTS)
    assert again.text.value == NEW and again.help_center.articles.keys() == {"warranty"}, "a withdrawn article stays withdrawn"


@pytest.mark.parametrize("article", ["watering", ""], ids=["another article", "a new article"])
@pytest.mark.parametrize("action", ["undo", "shipped", "withdraw"])
def test_what_was_typed_elsewhere_outlives_the_change_of_an_article(machine: TimeMachine, action: str, article: str) -> None:
    machine.text.value = NEW
    machine.sync.click()
    machine.article.value = article
    machine.text.value = TYPED
    if action == "withdraw":
        machine.article.value = "warranty"
    getattr(machine, action).click()
    assert "✓ Passages:" in reported(machine)
    machine.article.value = article
    assert machine.text.value == TYPED


@pytest.mark.parametrize("action", ["undo", "shipped"])
def test_what_was_typed_goes_when_its_own_article_is_replaced(machine: TimeMachine, action: str) -> None:
    machine.text.value = NEW
    machine.sync.click()
    machine.text.value = TYPED
    machine.article.value = "watering"
    getattr(machine, action).click()
    machine.article.value = "warranty"
    assert machine.text.value == OLD


def test_an_article_that_was_only_looked_at_is_shown_as_its_file_is(machine: TimeMachine) -> None:
    machine.article.value = "watering"
    (machine.help_center.folder / "warranty.md").write_text(NEW)
    machine.article.value = "warranty"
    assert machine.text.value == NEW
    (machine.help_center.folder / "warranty.md").write_text(OLD)
    machine.article.value = "watering"
    machine.article.value = "warranty"
    assert machine.text.value == OLD


def test_an_edit_that_was_taken_back_by_hand_is_no_draft(machine: TimeMachine) -> None:
    machine.text.value = NEW
    machine.article.value = "watering"
    machine.article.value = "warranty"
    machine.text.value = OLD
    machine.article.value = "watering"
    (machine.help_center.folder / "warranty.md").write_text(TYPED)
    machine.article.value = "warranty"
    assert machine.text.value == TYPED


def test_a_new_article_begins_with_the_template_after_one_was_synced(machine: TimeMachine) -> None:
    machine.article.value = ""
    machine.text.value = "# Lost and found\n\nAsk us.\n"
    machine.article.value = "watering"
    machine.article.value = ""
    machine.sync.click()
    machine.article.value = ""
    assert machine.text.value == TEMPLATE


@pytest.mark.parametrize("words", [50, 200_000])
def test_an_article_is_saved_under_a_title_of_any_length(machine: TimeMachine, words: int) -> None:
    machine.article.value = ""
    machine.text.value = f"# {'word ' * words}\n\nThe warranty is nine years.\n"
    machine.sync.click()
    if words == 50:
        assert machine.article.value == "-".join(["word"] * 12) and "1 added" in reported(machine)
    else:
        assert "Split it" in reported(machine)


@pytest.mark.parametrize(("of", "message"), [("mine", "warranty.md is not UTF-8 text (byte 5)"), ("source", "Something unexpected went wrong (UnicodeDecodeError")])
def test_a_file_that_is_not_utf_8_is_a_message(machine: TimeMachine, source: HelpCenter, of: str, message: str) -> None:
    folder = source.folder if of == "source" else machine.help_center.folder
    (folder / "warranty.md").write_bytes(b"# Caf\xe9\n\nOpen at nine.\n")
    machine.shipped.click()
    assert message in reported(machine)
    machine.article.value = "watering"
    machine.article.value = "warranty"
    (folder / "warranty.md").write_text(OLD)
    machine.shipped.click()
    assert "shipped edition already" in reported(machine)


def test_undo_brings_the_articles_back_when_even_the_roll_back_failed(machine: TimeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def full_after_one(file: Path, text: str) -> None:
        if written:
            raise OSError("The disk is full.")
        written.append(file)
        write_whole(file, text)

    for name, text in (("warranty", NEW), ("watering", TYPED)):
        machine.article.value, machine.text.value = name, text
        machine.sync.click()
    monkeypatch.setattr("helpers.time_machine.write_whole", full_after_one)
    for button in (machine.shipped, machine.shipped, machine.undo):
        button.click()
        assert reported(machine) == "✗ The disk is full."
    monkeypatch.undo()
    assert {file.stem: file.read_text() for file in machine.help_center.folder.glob("*.md")} != {"warranty": NEW, "watering": TYPED}
    machine.undo.click()
    assert {file.stem: file.read_text() for file in machine.help_center.folder.glob("*.md")} == {"warranty": NEW, "watering": TYPED}
    machine.undo.click()
    assert "A tank" in machine.text.value and machine.text.value != TYPED, "the step before is there, too"


def test_a_sync_that_changed_nothing_is_no_step_to_undo(machine: TimeMachine) -> None:
    machine.sync.click()
    (machine.help_center.folder / "warranty.md").write_text(NEW)
    machine.undo.click()
    assert "nothing to undo" in reported(machine) and (machine.help_center.folder / "warranty.md").read_text() == NEW


@pytest.mark.parametrize(("text", "message"), [("  ", "the article is empty"), ("# T\n\n" + "word " * 200_000, "Split it")])
def test_a_bad_article_changes_nothing(machine: TimeMachine, text: str, message: str) -> None:
    machine.text.value = text
    machine.sync.click()
    assert message in reported(machine)
    assert (machine.help_center.folder / "warranty.md").read_text() == OLD
    assert machine.text.value == text and not machine.sync.disabled
    machine.undo.click()
    assert "nothing to undo" in reported(machine)


def test_a_bot_that_fails_is_a_message(source: HelpCenter) -> None:
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: FakeBot(error=BotError("Too long."))})
    machine.sync.click()
    assert reported(machine) == "✗ Too long."


def test_an_interrupted_sync_can_be_finished(source: HelpCenter) -> None:
    bot = FakeBot("fine", KeyboardInterrupt())
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.text.value = NEW
    machine.sync.click()
    assert "press the button again" in reported(machine) and machine.text.value == NEW
    bot.error = None
    machine.sync.click()
    assert "1 updated" in reported(machine)


def test_an_interrupt_within_the_sync_leaves_the_articles_as_they_were(machine: TimeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.help_center.sync()
    real = machine.help_center.sync
    monkeypatch.setattr(machine.help_center, "sync", lambda: real() if (machine.help_center.folder / "warranty.md").exists() else interrupt())
    machine.withdraw.click()
    assert "press the button again" in reported(machine) and (machine.help_center.folder / "warranty.md").read_text() == OLD
    monkeypatch.undo()
    machine.withdraw.click()
    assert "1 deleted" in reported(machine)


def test_an_interrupt_after_the_change_says_that_it_is_made(machine: TimeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    show = machine._show
    monkeypatch.setattr(machine, "_show", lambda card, title, ticket: interrupt() if title == "After" else show(card, title, ticket))
    machine.withdraw.click()
    assert "The change is made" in reported(machine) and not (machine.help_center.folder / "warranty.md").exists()


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_change_can_be_undone_when_a_bot_failed_after_it(source: HelpCenter) -> None:
    bot = FakeBot("fine")
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.sync.click()
    machine.text.value = NEW
    bot.ask = lambda question: reply("fine") if "three" in (machine.help_center.folder / "warranty.md").read_text() else interrupt()
    machine.sync.click()
    assert (machine.help_center.folder / "warranty.md").read_text() == NEW
    bot.ask = lambda question: reply("fine")
    machine.undo.click()
    assert (machine.help_center.folder / "warranty.md").read_text() == OLD


def test_two_folders_of_one_name_have_a_copy_each(source: HelpCenter, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / source.folder.name
    other.mkdir(parents=True)
    (other / "second.md").write_text("# Second\n\nAnother company.\n")
    assert own_copy(source).articles.keys() == {"warranty", "watering"}
    cut = own_copy(HelpCenter.from_folder(other, embedder=FakeEmbedder(), chunk_size=10))
    assert cut.articles.keys() == {"second"} and len(cut.passages(cut.articles["second"])) == 2


def test_clicks_while_it_works_do_not_nest(source: HelpCenter) -> None:
    class Impatient(FakeBot):
        def ask(self, question: str):
            machine.sync.click()
            machine.undo.click()
            return super().ask(question)

    bot = Impatient()
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.sync.click()
    assert len(bot.asked) == 2 and "✓ Passages:" in reported(machine)


@pytest.mark.parametrize("typed", ["seven", "three"], ids=["something else", "what it was"])
@pytest.mark.parametrize("answer", [1, 2], ids=["before", "after"])
def test_what_is_typed_while_the_bots_answer_stays(source: HelpCenter, answer: int, typed: str) -> None:
    class Watched(FakeBot):
        def ask(self, question: str):
            if len(self.asked) + 1 == answer:
                machine.text.value = NEW.replace("five", typed)
            return super().ask(question)

    bot = Watched()
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.text.value = NEW
    machine.sync.click()
    assert "five" in machine.help_center.articles["warranty"].text and typed in machine.text.value
    machine.sync.click()
    assert typed in machine.help_center.articles["warranty"].text


@pytest.mark.parametrize("chosen", [None, "watering", ""], ids=["stays there", "goes to another one", "begins the next"])
@pytest.mark.parametrize("answer", [1, 2], ids=["before", "after"])
def test_what_is_typed_while_a_new_article_syncs_stays(source: HelpCenter, answer: int, chosen: str | None) -> None:
    class Watched(FakeBot):
        def ask(self, question: str):
            if len(self.asked) + 1 == answer:
                machine.text.value += "Or ask us.\n"
                machine.article.value = machine.article.value if chosen is None else chosen
            return super().ask(question)

    bot = Watched()
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.article.value = ""
    machine.text.value = "# Lost\n\nLook twice.\n"
    machine.sync.click()
    assert (machine.help_center.folder / "lost.md").read_text() == "# Lost\n\nLook twice.\n"
    machine.article.value = "lost"
    assert machine.text.value == "# Lost\n\nLook twice.\nOr ask us.\n"
    machine.article.value = ""
    assert machine.text.value == TEMPLATE


@pytest.mark.parametrize("answer", [1, 2], ids=["before", "after"])
@pytest.mark.parametrize("chosen", ["", "watering"], ids=["a new article", "another one"])
def test_an_article_chosen_while_the_bots_answer_is_opened(source: HelpCenter, answer: int, chosen: str) -> None:
    """JupyterLab delivers a choice in another thread than a click, so it can come in the middle."""

    class Watched(FakeBot):
        def ask(self, question: str):
            if len(self.asked) + 1 == answer:
                machine.article.value = chosen
            return super().ask(question)

    bot = Watched()
    machine = TimeMachine(source, [WARRANTY], {"RAG": lambda help_center: bot})
    machine.text.value = NEW
    machine.sync.click()
    assert machine.article.value == chosen and "✓ Passages:" in reported(machine)
    assert machine.text.value.startswith("# A tank" if chosen else "# The title")
    machine.article.value = "warranty"
    assert machine.text.value == NEW


def test_an_article_with_markup_is_shown_as_text(machine: TimeMachine) -> None:
    machine.text.value = f"# Warranty {EVIL}\n\nThe warranty is {EVIL} years.\n"
    machine.sync.click()
    assert EVIL in plain_text(machine.after.value)
    assert "<script" not in machine.after.value and "<img" not in machine.after.value


@pytest.mark.parametrize("make", [lambda: ToggleLab(Maker()), DiagnosisQuiz, DecisionWalk, TrainingProgress])
def test_a_widget_prints_as_its_name(make: Callable) -> None:
    assert repr(make()) == f"{type(make()).__name__}()"


@pytest.mark.parametrize("make", [lambda: ToggleLab(Maker()), DiagnosisQuiz, DecisionWalk, TrainingProgress])
def test_every_label_has_a_tooltip_of_its_own(make: Callable) -> None:
    assert unexplained(make()) == []


def test_every_label_of_the_time_machine_has_a_tooltip_of_its_own(machine: TimeMachine) -> None:
    assert unexplained(machine) == []


def unexplained(widget: Widget) -> list[str]:
    """Return the labels that would say "null" under the mouse."""
    own = [widget.description] if getattr(widget, "description", "") and not widget.tooltip else []
    return own + [label for child in getattr(widget, "children", ()) for label in unexplained(child)]


@pytest.mark.parametrize("make", [lambda: ToggleLab(Maker()), DiagnosisQuiz, DecisionWalk])
def test_a_choice_is_seen_without_colour(make: Callable) -> None:
    lab = make()
    assert "chosen: " in lab.children[0].value, "the style comes first"


def test_a_passage_with_markup_is_shown_as_text() -> None:
    class Cites(FakeBot):
        def ask(self, question: str):
            return reply("Three years. [1]", (passage(EVIL),), (passage(EVIL),), question=question)

    lab = ToggleLab(lambda arm: Cites())
    lab.tool.value = "rag"
    assert EVIL in shown(lab) and "<script" not in lab.card.value and "<img" not in lab.card.value
