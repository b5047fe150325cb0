"""The time machine: change the help centre, sync, and see which bots notice."""

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import ipywidgets as widgets

from helpers.bots import Reply, SupportBot
from helpers.cards import GOOD, answers_card, error_card, notice_card
from helpers.controls import HALF, LABELLED, SIDE_BY_SIDE, WIDE, Quiet
from helpers.experiments import facts_adapter
from helpers.knowledge import HelpCenter, HelpCenterError, SyncReport
from helpers.paths import short_hash, workspace, write_whole
from helpers.scenarios import Ticket, load_tickets
from helpers.scoring import value_present

TICKETS = ("f075", "f065", "f093", "f102", "f031", "f042")
NEW = ""
LONGEST_NAME = 60
TEMPLATE = "# The title of your article\n\n## A heading\n\nA sentence that answers a question.\n"

MakeBot = Callable[[HelpCenter], object]
BOTS: Mapping[str, MakeBot] = {
    "base bot": lambda help_center: SupportBot(),
    "RAG": lambda help_center: SupportBot(help_center=help_center),
    "facts in the weights": lambda help_center: SupportBot(adapter=facts_adapter()),
}


def own_copy(source: HelpCenter, folder: Path | None = None) -> HelpCenter:
    """Return a help centre over the learner's own copy of ``source``'s articles; edits made there before stay.

    Raises:
        HelpCenterError: ``source`` has no folder to copy.
        OSError: the copy cannot be written.
    """
    if source.folder is None:
        raise HelpCenterError("This help centre has no folder. Open one with HelpCenter.from_folder(...).")
    folder = Path(folder) if folder else workspace() / "my_articles" / f"{source.folder.name}-{short_hash(str(source.folder))}"
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        for article in source.folder.glob("*.md"):
            shutil.copyfile(article, part / article.name)
        part.rename(folder)
    return HelpCenter.from_folder(folder, embedder=source.embedder, chunk_size=source.chunk_size, reranker=source.reranker)


class TimeMachine(Quiet, widgets.VBox):
    """Change, add or withdraw an article of the learner's own copy; the course's data stay as they are.

    Attributes for a cell: ``ticket``, ``article``, ``text``, ``sync``, ``withdraw``,
    ``undo`` and ``shipped`` to use; ``report``, ``seconds``, ``before`` and ``after`` to
    read; ``help_center`` is the copy. ``article.value = ""`` begins a new article.

    Args:
        source: the help centre to copy.
        tickets: which ones can be asked before and after each sync.
        make_bots: by name, from the copy to a bot with ``ask``; made at first use and kept.
        folder: where the copy is; by default in the workspace.
    """

    def __init__(
        self, source: HelpCenter, tickets: Sequence[Ticket] | None = None, make_bots: Mapping[str, MakeBot] = BOTS, folder: Path | None = None
    ) -> None:
        self.source, self.help_center = source, own_copy(source, folder)
        self.make_bots = make_bots
        self._tickets = {ticket.id: ticket for ticket in (_telling() if tickets is None else tickets)}
        self._bots: dict[str, object] = {}
        self._drafts: dict[str, str] = {}
        self._undo_steps: list[dict[str, str | None]] = []
        self._opened, self._unedited = NEW, TEMPLATE
        asked = [(f"{ticket.id}: {ticket.text}", ticket.id) for ticket in self._tickets.values()]
        unfold = "With the keyboard: Space opens the list"
        self.ticket = widgets.Dropdown(options=asked, description="Ticket", tooltip=unfold, layout=WIDE, style=LABELLED)
        self.article = widgets.Dropdown(description="Article", tooltip=unfold, layout=WIDE, style=LABELLED)
        # Sent as it is typed: a click on Sync is delivered in another thread and must not overtake it.
        self.text = widgets.Textarea(description="Text", tooltip="The article, in Markdown", rows=12, layout=WIDE, style=LABELLED)
        self.sync = widgets.Button(description="Sync", button_style="primary", tooltip="Save this article and bring the index up to date")
        self.withdraw = widgets.Button(description="Withdraw", tooltip="Delete this article from your copy, and sync")
        self.undo = widgets.Button(description="Undo", tooltip="Take back the last change")
        self.shipped = widgets.Button(description="Shipped edition", tooltip="Make your copy what the course came with")
        self.report, self.seconds = widgets.HTML(layout=WIDE), widgets.HTML(layout=WIDE)
        self.before, self.after = widgets.HTML(layout=HALF), widgets.HTML(layout=HALF)
        self.ticket.observe(self._open_for_ticket, names="value")
        self.article.observe(self._change_article, names="value")
        self._offer_articles()
        self._open_for_ticket()
        for button, action in ((self.sync, self._sync), (self.withdraw, self._withdraw), (self.undo, self._undo), (self.shipped, self._reset)):
            button.on_click(lambda _, action=action: self._act(action))
        buttons = widgets.Box([self.sync, self.withdraw, self.undo, self.shipped], layout={"flex_flow": "row wrap"})
        answers = widgets.Box([self.before, self.after], layout=SIDE_BY_SIDE)
        super().__init__([self.ticket, self.article, self.text, buttons, self.report, self.seconds, answers])

    def __repr__(self) -> str:
        return "TimeMachine()"

    def _file(self, name: str) -> Path:
        return self.help_center.folder / f"{name}.md"

    def _read(self, name: str) -> str | None:
        file = self._file(name)
        # One that is not UTF-8 is only shown like this: before anything is written, the sync names the file and the cure.
        return file.read_text(encoding="utf-8-sig", errors="replace") if file.exists() else None

    # Choosing

    def _offer_articles(self, chosen: str | None = None) -> None:
        """List the articles and open ``chosen``; if that is withdrawn a new one, so that a second click on Withdraw meets none that nobody chose."""
        names = sorted((article.title, article.name) for article in self.help_center.articles.values())
        with self._quietly():
            self.article.options = [*names, ("a new article", NEW)]
            if chosen is None:
                chosen = names[0][1]
            self.article.value = chosen if chosen in self.help_center.articles else NEW
        self._open(self.article.value)

    def _open_for_ticket(self, change: object = None) -> None:
        """Open the article that answers the ticket, if it is there."""
        ticket = self._tickets.get(self.ticket.value)
        name = ticket.facts[0].article if ticket and ticket.facts else None
        if name in self.help_center.articles:
            self.article.value = name

    def _change_article(self, change: object = None) -> None:
        """Open the article that is chosen; what was chosen while the bots answered is opened when they have."""
        if self._waits or self.article.value == self._opened:
            return
        self._keep_draft()
        self._open(self.article.value)

    def _keep_draft(self) -> None:
        """Keep the text in the box if it was edited; an article that was not is read from its file when it is opened again."""
        if self.text.value == self._unedited:
            self._drafts.pop(self._opened, None)
        else:
            self._drafts[self._opened] = self.text.value

    def _open(self, name: str) -> None:
        self._opened, self._unedited = name, self._read(name) or TEMPLATE
        self.text.value = self._drafts.get(name) or self._unedited

    # Changing

    def _act(self, action: Callable[[], None]) -> None:
        """Do what a button says, unless it comes while another one works."""
        if self._busy:
            return
        self._synced = False
        try:
            action()
        except KeyboardInterrupt:
            done = "The change is made, and only the answers after it are missing: choose the ticket again." if self._synced else "Nothing is lost: press the button again."
            self._say(f"Stopped. {done}")
        except Exception as error:
            # A widget's callback is the last place where an error can still become a message.
            self.report.value, self.seconds.value = error_card(error), ""

    def _sync(self) -> None:
        name, text = self.article.value, self.text.value
        if not text.strip():
            self._say("Nothing synced: the article is empty. Write a title line '# Title' and some sentences, or press Withdraw.")
            return
        if name == NEW:
            name = _slug(text)
            if self._file(name).exists():
                self._say(f"Nothing synced: there is an article {name}.md already. Give yours another title, or open that one.")
                return
        self._change({name: text}, name)

    def _withdraw(self) -> None:
        if self.article.value == NEW:
            self._say("Nothing to withdraw: this article is not in the help centre yet.")
        else:
            self._change({self.article.value: None})

    def _undo(self) -> None:
        if not self._undo_steps:
            self._say("There is nothing to undo.")
            return
        step = self._undo_steps[-1]
        self._change(step, next(iter(step)), undoing=True)

    def _reset(self) -> None:
        """Make the copy what the course came with; this can be undone, too."""
        shipped = {path.stem: path.read_text(encoding="utf-8-sig") for path in self.source.folder.glob("*.md")}
        mine = {path.stem: self._read(path.stem) for path in self.help_center.folder.glob("*.md")}
        changes = {name: shipped.get(name) for name in {*shipped, *mine} if shipped.get(name) != mine.get(name)}
        if not changes:
            self._say("Your copy is the shipped edition already.")
        else:
            self._change(changes)

    def _change(self, files: Mapping[str, str | None], opened: str | None = None, undoing: bool = False) -> None:
        """Write or delete articles, sync, and ask before and after; on any error before the sync is done, all articles are as they were."""
        # The buttons stay enabled: one that is switched off loses the keyboard.
        self._busy, chosen, shown = True, self.article.value, self.text.value
        ticket = self._tickets[self.ticket.value]  # both answers are to this one, whatever is chosen meanwhile
        try:
            self.help_center.sync()
            self._show(self.before, "Before", ticket)
            report = self._write_and_sync(files, undoing)
            self._synced = True
            if opened and not undoing:
                self._name_opened(opened)
            self._settle_drafts(files, shown)
            self._offer_articles(opened if opened and self.article.value == chosen else self.article.value)
            self._say_report(report)
            self._show(self.after, "After", ticket)
        finally:
            self._busy = False
            self._change_article()

    def _name_opened(self, name: str) -> None:
        """Say under which name the article in the box was saved: a new one has its own from now on."""
        self._drafts.pop(self._opened, None)
        self._opened = name

    def _settle_drafts(self, changed: Mapping[str, str | None], shown: str) -> None:
        """Drop the drafts of articles that changed, except for what was typed since ``shown``; keep all others."""
        self._drafts = {name: text for name, text in self._drafts.items() if name not in changed}
        if self._opened in changed:
            self._unedited = shown
        self._keep_draft()

    def _write_and_sync(self, files: Mapping[str, str | None], undoing: bool) -> SyncReport:
        old = {name: self._read(name) for name in files}
        if not undoing:
            self._undo_steps.append(old)  # before anything is written: even the roll-back can fail
        try:
            self._write(files)
            report = self.help_center.sync()
        except BaseException:  # a learner's interrupt, too
            self._write(old)
            if not undoing:
                self._undo_steps.pop()
            raise
        if undoing or dict(files) == old:
            self._undo_steps.pop()
        return report

    def _write(self, files: Mapping[str, str | None]) -> None:
        """Write or delete those articles that are not so already."""
        for name, text in files.items():
            if text is None:
                self._file(name).unlink(missing_ok=True)
            elif text != self._read(name):
                write_whole(self._file(name), text)

    # Showing

    def _say(self, message: str) -> None:
        self.report.value, self.seconds.value = notice_card(message), ""

    def _say_report(self, report: SyncReport) -> None:
        counts = f"{report.added} added, {report.updated} updated, {report.deleted} deleted, {report.unchanged} unchanged"
        touched = f" Articles touched: {', '.join(report.articles)}." if report.articles else ""
        self.report.value = notice_card(f"Passages: {counts}.{touched}", GOOD)
        embedded = report.added + report.updated
        self.seconds.value = f"<div>The sync took {report.seconds:.2f} s; {embedded} {'passage was' if embedded == 1 else 'passages were'} embedded.</div>"

    def _show(self, card: widgets.HTML, title: str, ticket: Ticket) -> None:
        replies: dict[str, Reply] = {}
        for name, make in self.make_bots.items():
            if name not in self._bots:
                self._say(f"{title} the sync: the bot “{name}” is being loaded. The one with facts in its weights is trained first, which takes some seconds.")
                self._bots[name] = make(self.help_center)
            replies[name] = self._bots[name].ask(ticket.text)
        card.value = answers_card(title, replies, self._superseded(ticket))

    def _superseded(self, ticket: Ticket) -> list[str]:
        """Return the values of the ticket's facts, of either edition, that the learner's articles no longer state."""
        values = {value: fact.article for fact in ticket.facts for value in (fact.first, fact.current) if value}
        texts = {name: article.text for name, article in self.help_center.articles.items()}
        return [value for value, article in values.items() if not value_present(value, texts.get(article, ""))]


def _telling() -> list[Ticket]:
    by_id = {ticket.id: ticket for ticket in load_tickets("facts")}
    return [by_id[name] for name in TICKETS if name in by_id]


def _slug(text: str) -> str:
    title = text.lstrip().partition("\n")[0].lstrip("# ")
    return re.sub(r"[\W_]+", "-", title.lower())[:LONGEST_NAME].strip("-") or "article"
