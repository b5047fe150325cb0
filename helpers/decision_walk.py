"""The decision walk as a widget, with worked examples and the learner's own case."""

import json
import os
from collections.abc import Mapping
from html import escape
from pathlib import Path

import ipywidgets as widgets
from traitlets import TraitError

from helpers.cards import BAD, GOOD, notice_card
from helpers.controls import LABELLED, WIDE, choices, choices_style
from helpers.decisions import BRANCHES, QUESTIONS, WORKED_EXAMPLES, walk
from helpers.paths import workspace, write_whole
from helpers.scenarios import SCENARIOS

CASE_FILE = "my_case.json"


class DecisionWalk(widgets.VBox):
    """Five questions, each shown when the one before leads to it, and the branch reached.

    Attributes for a cell to set: ``questions`` (by name: kind, changes,
    citations, examples, unsure), ``examples`` (worked examples by scenario),
    ``case`` and ``save_button``; to read: ``result``, ``status``, ``branch``.

    Args:
        evidence: a sentence of measured evidence by branch, see ``decisions.evidence_from``.
    """

    def __init__(self, evidence: Mapping[str, str] | None = None) -> None:
        self.evidence = dict(evidence or {})
        self.questions = {
            name: choices(question.text, question.options, label_width=None, value=None, layout=WIDE) for name, question in QUESTIONS.items()
        }
        fill = {"layout": {"width": "auto"}, "tooltip": "Fill in the answers for this scenario"}
        self.examples = {name: widgets.Button(description=f"Worked example {SCENARIOS[name]}", **fill) for name in WORKED_EXAMPLES}
        self.result = widgets.HTML(layout=WIDE)
        placeholder = "What does your bot get wrong, and for whom?"
        self.case = widgets.Textarea(description="Your own case", placeholder=placeholder, tooltip=placeholder, layout=WIDE, style=LABELLED)
        self.save_button = widgets.Button(description="Save my case", tooltip=f"Write {CASE_FILE} in your workspace")
        self.status = widgets.HTML(layout=WIDE)
        for question in self.questions.values():
            question.observe(self._show, names="value")
        for name, button in self.examples.items():
            button.on_click(lambda _, name=name: self.fill_in(WORKED_EXAMPLES[name]))
        self.save_button.on_click(lambda _: self.save())
        self._load()
        self._show()
        super().__init__([choices_style(), widgets.HBox(list(self.examples.values())), *self.questions.values(), self.result, self.case, self.save_button, self.status])

    def __repr__(self) -> str:
        return "DecisionWalk()"

    @property
    def answers(self) -> dict[str, str]:
        """The answers on the way so far."""
        values = {name: question.value for name, question in self.questions.items()}
        return {name: values[name] for name in walk(values)[0] if values[name] is not None}

    @property
    def branch(self) -> str | None:
        """The branch reached, a key of ``decisions.BRANCHES``; None while a question is open."""
        return walk(self.answers)[1]

    def fill_in(self, answers: Mapping[str, str]) -> None:
        """Set every question: to the given answer, or back to open."""
        for name, question in self.questions.items():
            question.value = answers.get(name)

    def save(self) -> Path | None:
        """Write the case, its answers and its branch to the workspace; return the file, or None if that failed.

        An empty case is not saved, so that it cannot replace one written before.
        """
        if not self.case.value.strip():
            self.status.value = notice_card("Nothing saved: describe your case first. A case saved before is still there.", BAD)
            return None
        content = {"case": self.case.value, "answers": self.answers, "branch": self.branch}
        try:
            file = workspace() / CASE_FILE
            write_whole(file, json.dumps(content, indent=1, ensure_ascii=False))
        except (OSError, UnicodeEncodeError) as error:
            self.status.value = notice_card(f"Not saved: {error} Your text is still in the box.", BAD)
            return None
        self.status.value = notice_card(f"Saved as {CASE_FILE} in your workspace folder.", GOOD)
        return file

    def _load(self) -> None:
        """Show the case saved before. A damaged file is set aside, never overwritten."""
        try:
            file = workspace() / CASE_FILE
            if not file.exists():
                return
            try:
                saved = json.loads(file.read_text(encoding="utf-8"))
                self.case.value = saved["case"]
                self.fill_in(saved.get("answers", {}))
            except (ValueError, KeyError, TypeError, AttributeError, TraitError):
                aside = file.with_name("my_case.damaged.json")
                os.replace(file, aside)
                self.status.value = notice_card(f"The case saved before cannot be read; it is kept as {aside.name}.", BAD)
        except OSError as error:
            self.status.value = notice_card(str(error), BAD)

    def _show(self, change: object = None) -> None:
        steps, branch = walk({name: question.value for name, question in self.questions.items()})
        for name, question in self.questions.items():
            question.layout.display = "" if name in steps else "none"
        if branch is None:
            self.result.value = f"<div>Step {len(steps)}: {escape(QUESTIONS[steps[-1]].text)}</div>"
        else:
            self.result.value = notice_card(f"{BRANCHES[branch]} {self.evidence.get(branch, 'Not measured yet: run the scoreboard.')}", GOOD)
