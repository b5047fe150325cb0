"""The article editor: change an article, sync, and watch the next answer change."""

import os
import shutil
from collections.abc import Callable
from html import escape
from pathlib import Path

import ipywidgets as widgets

from helpers.bots import Reply, SupportBot
from helpers.cards import GOOD, answer_card, error_card, notice_card
from helpers.controls import LABELLED, WIDE
from helpers.knowledge import HelpCenter, HelpCenterError, SyncReport
from helpers.paths import workspace



def own_copy(source: HelpCenter, folder: Path | None = None) -> HelpCenter:
    """Return a help centre over the learner's own copy of ``source``'s articles; edits made there before stay.

    Raises:
        HelpCenterError: ``source`` has no folder to copy.
        OSError: the copy cannot be written.
    """
    if source.folder is None:
        raise HelpCenterError("This help centre has no folder. Open one with HelpCenter.from_folder(...).")
    folder = Path(folder) if folder else workspace() / "my_articles" / source.folder.name
    folder.mkdir(parents=True, exist_ok=True)
    for article in source.folder.glob("*.md"):
        if not (folder / article.name).exists():
            shutil.copyfile(article, folder / article.name)
    return HelpCenter.from_folder(folder, embedder=source.embedder)


class ArticleEditor(widgets.VBox):
    """Edit an article of the learner's own copy; the course's data stay as they are.

    Attributes for a cell: ``article``, ``text``, ``sync``, ``undo`` to use;
    ``report``, ``seconds``, ``before``, ``after`` to read; ``help_center`` is the copy.

    Args:
        source: the help centre to copy.
        question: the ticket that is asked before and after each sync.
        make_bot: from the copy to a bot with ``ask``; by default RAG.
        folder: where the copy is; by default in the workspace.
    """

    def __init__(
        self, source: HelpCenter, question: str, make_bot: Callable[[HelpCenter], object] | None = None, folder: Path | None = None
    ) -> None:
        self.help_center = own_copy(source, folder)
        self.question = question
        self.make_bot = make_bot or (lambda help_center: SupportBot(help_center=help_center))
        self._bot: object = None
        self._drafts: dict[str, str] = {}
        self._undo_steps: list[tuple[str, str]] = []
        articles = [(article.title, article.name) for article in self.help_center.articles.values()]
        self.article = widgets.Dropdown(options=articles, description="Article", tooltip="With the keyboard: Space opens the list", layout=WIDE, style=LABELLED)
        self.text = widgets.Textarea(description="Text", tooltip="The article, in Markdown", rows=12, layout=WIDE, style=LABELLED)
        self.sync = widgets.Button(description="Sync", button_style="primary", tooltip="Save this article and bring the index up to date")
        self.undo = widgets.Button(description="Undo", disabled=True, tooltip="Take back the last sync")
        self.report, self.seconds, self.before, self.after = (widgets.HTML(layout=WIDE) for _ in range(4))
        self._open()
        self.article.observe(self._change_article, names="value")
        self.sync.on_click(lambda _: self._save(self.article.value, self.text.value))
        self.undo.on_click(lambda _: self._take_back())
        asked = widgets.HTML(f"<div>Ticket: {escape(question)}</div>", layout=WIDE)
        super().__init__([asked, self.article, self.text, widgets.HBox([self.sync, self.undo]), self.report, self.seconds, self.before, self.after])

    def __repr__(self) -> str:
        return "ArticleEditor()"

    def _file(self, name: str) -> Path:
        return self.help_center.folder / f"{name}.md"

    def _open(self) -> None:
        name = self.article.value
        self.text.value = self._drafts.get(name) or self._file(name).read_text(encoding="utf-8-sig")

    def _change_article(self, change: dict) -> None:
        self._drafts[change["old"]] = self.text.value
        self._open()

    def _ask(self) -> Reply:
        if self._bot is None:
            self._bot = self.make_bot(self.help_center)
        return self._bot.ask(self.question)

    def _save(self, name: str, text: str, undoable: bool = True) -> bool:
        """Write the article, sync and ask again; on any error the article is as it was."""
        if not text.strip():
            self.report.value = notice_card("Nothing synced: the article is empty. Write a title line '# Title' and some sentences.")
            return False
        self.report.value, self.seconds.value = notice_card("Syncing, and asking before and after."), ""
        self.sync.disabled = True
        try:
            self.help_center.sync()
            before, old = self._ask(), self._file(name).read_text(encoding="utf-8")
            report = self._write_and_sync(name, text, old)
            if undoable and text != old:
                self._undo_steps.append((name, old))
            self.before.value = answer_card("Answer before", before)
            self._say(report)
            self.after.value = answer_card("Answer after", self._ask())
            return True
        except Exception as error:
            # A widget's callback is the last place where an error can still become a message.
            self.report.value = error_card(error)
            return False
        finally:
            self.sync.disabled, self.undo.disabled = False, not self._undo_steps

    def _write_and_sync(self, name: str, text: str, old: str) -> SyncReport:
        self._write(name, text)
        try:
            return self.help_center.sync()
        except Exception:
            self._write(name, old)
            raise

    def _write(self, name: str, text: str) -> None:
        part = self._file(name).with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, self._file(name))

    def _say(self, report: SyncReport) -> None:
        counts = f"{report.added} added, {report.updated} updated, {report.deleted} deleted, {report.unchanged} unchanged"
        self.report.value = notice_card(f"Passages: {counts}.", GOOD)
        self.seconds.value = f"<div>The sync took {report.seconds:.2f} s.</div>"

    def _take_back(self) -> None:
        if not self._undo_steps:
            self.report.value = notice_card("There is nothing to undo.")
            return
        name, old = self._undo_steps[-1]
        if self._save(name, old, undoable=False):
            self._undo_steps.pop()
            self._drafts.pop(name, None)
            self.article.value = name
            self.text.value = old
        self.undo.disabled = not self._undo_steps
