"""HTML cards: what a reply shows, as one page of plain HTML.

Whatever a model, an article or a learner wrote goes through ``html.escape``.
Colours are Okabe and Ito's (2008), and always come with a word and a symbol.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from html.parser import HTMLParser

from helpers.bots import CITATION, Reply, is_sure
from helpers.knowledge import Passage
from helpers.prompts import doubt_of_search
from helpers.scenarios import Fact, Ticket
from helpers.scoring import OTHER_FREE, VALUE_BEGINS, VALUE_ENDS, VOICE, abstains, value_present, voice_checks
from helpers.verdicts import QUEUES, escalation_state, fact_state, holds_answer, verdict

__all__ = ["answers_card", "error_card", "notice_card", "plain_text", "reply_card", "verdict"]

GOOD, BAD, OLD, NEUTRAL = "good", "bad", "old", "neutral"
# Where a section is seen: the verdict next to the reply, the long list of voice checks last. The text keeps its order.
PLACES = {"Ticket": -2, "Reply": -2, "Verdict": -1, "Voice": 1}
SYMBOLS = {GOOD: "✓", BAD: "✗", OLD: "↺", NEUTRAL: "•"}
STYLE = """<style>
.fern-card {display: flex; flex-direction: column; max-width: 900px; box-sizing: border-box; line-height: 1.45; overflow-wrap: anywhere; white-space: normal;
  padding: 0.6em 1em; border: 1px solid rgba(128,128,128,.5); border-radius: 4px; color: var(--jp-ui-font-color1, inherit)}
.fern-card h4 {margin: 0.8em 0 0.2em; font-size: 1em}
.fern-card ul {margin: 0; padding: 0; list-style: none}
.fern-card li, .fern-card details, .fern-card blockquote, .fern-card .fern-line {margin: 0.25em 0; padding: 0.1em 0.6em; border-left: 4px solid #888}
.fern-card .fern-good {border-left-color: #009E73}
.fern-card .fern-bad {border-left-color: #D55E00}
.fern-card .fern-old {border-left-color: #CC79A7}
.fern-card .fern-said {background: rgba(128,128,128,.12); padding: 0.4em 0.6em}
.fern-card summary {cursor: pointer}
.fern-card del {text-decoration-thickness: 2px}
.fern-card .fern-verdict {font-weight: 600}
</style>"""
BLOCKS = {"div", "p", "ul", "li", "h4", "details", "summary", "blockquote", "br"}


def reply_card(reply: Reply, ticket: Ticket | None, arm: str = "") -> str:
    """Return a reply as HTML: ticket, reply, facts, passages, voice, escalation, verdict.

    Args:
        ticket: the held-out ticket that was answered; None for the learner's own words.
        arm: the bot's arm, which lets the verdict say what the bot still needs.
    """
    sections = [
        _section("Ticket", f"<blockquote>{_lines(reply.question)}</blockquote>"),
        _section("Reply", f'<div class="fern-line fern-said">{_with_markers(reply.text)}</div>'),
        _section("Facts", _facts(reply, ticket)),
        _section("Passages", _passages(reply, ticket)),
        _section("Voice", _voice(reply)),
        _section("Escalation", _escalation(reply, ticket)),
        _section("Verdict", f'<div class="fern-verdict">{escape(verdict(reply, ticket, arm))}</div>'),
    ]
    return _card("".join(sections))


def answers_card(title: str, replies: Mapping[str, Reply], superseded: Sequence[str] = ()) -> str:
    """Return several bots' replies to one ticket as HTML without scores, each with its passages.

    Args:
        superseded: values that are struck through where they appear; one in another spelling is named behind the reply.
    """
    sections = [f"<div><b>{escape(title)}</b></div>"]
    for name, reply in replies.items():
        said = _struck(reply.text, superseded)
        sections.append(_section(name, f'<div class="fern-line fern-said">{said}</div>' + (_passages(reply, None) if reply.found else "")))
    return _card("".join(sections))


def _struck(text: str, values: Sequence[str]) -> str:
    """Return ``text`` as HTML with ``values`` struck through; "(old)" says so without the line."""
    html = _with_markers(text)
    for value in values:
        pattern = rf"{escape(OTHER_FREE.pattern)}|{VALUE_BEGINS}(?P<value>{re.escape(escape(value))}){VALUE_ENDS}"
        struck = re.sub(pattern, lambda match: f"<del>{match['value']}</del> (old)" if match["value"] else match[0], html, flags=re.IGNORECASE)
        spelt_otherwise = struck == html and value_present(value, text)
        html = f"{html} (old: {escape(value)})" if spelt_otherwise else struck
    return html


def notice_card(message: str, kind: str = NEUTRAL) -> str:
    """Return a message as HTML; ``kind`` is good, bad, old or neutral."""
    return _card(f"<div>{_marked(kind, escape(message), tag='div')}</div>")


def error_card(error: Exception) -> str:
    """Return what went wrong, and what to do, as HTML.

    The course's own errors and those of the file system say it themselves.
    """
    ours = isinstance(error, OSError) or type(error).__module__.startswith("helpers.")
    cure = "Run python -m helpers check in a terminal: it names the cause and the cure."
    return notice_card(str(error) if ours else f"Something unexpected went wrong ({type(error).__name__}: {error}). {cure}", BAD)


def plain_text(html: str) -> str:
    """Return what a reader sees of ``html``, one line a block; for printing in a cell."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.in_style = self.in_style or tag == "style"
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.in_style = self.in_style and tag != "style"
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.in_style:
            self.parts.append(data.replace("\n", " "))


def _card(body: str) -> str:
    return f'{STYLE}<div class="fern-card">{body}</div>'


def _section(title: str, body: str) -> str:
    return f'<div style="order: {PLACES.get(title, 0)}"><h4>{escape(title)}</h4>{body}</div>'


def _marked(kind: str, inner: str, tag: str = "li") -> str:
    return f'<{tag} class="fern-line fern-{kind}">{SYMBOLS[kind]} {inner}</{tag}>'


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _with_markers(text: str) -> str:
    return re.sub(CITATION, r"<strong>[\1]</strong>", _lines(text)) or "(an empty reply)"


def _facts(reply: Reply, ticket: Ticket | None) -> str:
    if ticket is None:
        items = _marked(NEUTRAL, "Your own words: nobody has listed the facts that they ask for.")
    elif ticket.kind == "unanswerable":
        known = abstains(reply)
        said = "right: says that it does not know" if known else "invented: the help centre has no answer, and the reply does not say so"
        items = _marked(GOOD if known else BAD, said)
    elif not ticket.facts:
        items = _marked(NEUTRAL, "This ticket asks for no fact.")
    else:
        items = "".join(_fact(fact, reply.text) for fact in ticket.facts)
    return f"<ul>{items}</ul>"


def _fact(fact: Fact, text: str) -> str:
    state = fact_state(fact, text)
    today = escape(fact.current or "no longer offered")
    said = {
        "right": f"right: <strong>{today}</strong>",
        "outdated": f"outdated: says <strong>{escape(fact.superseded or '')}</strong>, today it is <strong>{today}</strong>",
        "missing": f"missing: today it is <strong>{today}</strong>",
    }[state]
    kind = {"right": GOOD, "outdated": OLD, "missing": BAD}[state]
    return _marked(kind, f"{said} ({escape(fact.statement.replace('{value}', fact.current or '…'))})")


def _passages(reply: Reply, ticket: Ticket | None) -> str:
    passages = [*reply.passages, *(p for p in reply.citations if p not in reply.passages)]
    if not passages and not reply.left_out:
        return f"<ul>{_marked(NEUTRAL, 'No passages: this bot answers from memory.')}</ul>"
    shown = [_passage(f"[{number}] {'✓ cited' if p in reply.citations else '– found, not cited'}", p, p in reply.citations, ticket) for number, p in enumerate(passages, 1)]
    doubt = doubt_of_search(bool(reply.passages), is_sure(reply.passages))
    warning = f"<ul>{_marked(NEUTRAL, f'The search was not sure, and the prompt says so: {doubt}')}</ul>" if doubt else ""
    return "".join([warning, *shown, *(_passage("– found, scored too low to be shown", p, False, ticket) for p in reply.left_out)])


def _passage(state: str, passage: Passage, cited: bool, ticket: Ticket | None) -> str:
    answers = ", holds the answer" if ticket is not None and holds_answer(passage, ticket) else ""
    return (
        f'<details class="{"fern-good" if cited else "fern-neutral"}"><summary>{state}{answers}: {escape(passage.heading)}</summary>'
        f"<div>{_lines(passage.text)}</div><div>Article: {escape(passage.title)} ({escape(passage.article)}.md), score {passage.score:.2f}</div></details>"
    )


def _voice(reply: Reply) -> str:
    checks = voice_checks(reply.text)
    explanations = {check.name: check.explanation for check in VOICE}
    items = [
        _marked(GOOD if passed else BAD, f"{'passed' if passed else 'failed'}: {escape(name)}. {escape(explanations[name])}") for name, passed in checks.items()
    ]
    return f"<div>{sum(checks.values())} of {len(checks)} checks passed</div><ul>{''.join(items)}</ul>"


def _team(queue: str | None) -> str:
    return QUEUES.get(queue or "", f"“{queue}”, which is none of our queues")


def _escalation(reply: Reply, ticket: Ticket | None) -> str:
    done = f"handed to {_team(reply.queue)}" if reply.escalated else "not handed over"
    if ticket is None:
        return f"<ul>{_marked(NEUTRAL, escape(done))}</ul>"
    state = escalation_state(reply, ticket)
    wanted = f"this ticket belongs with {_team(ticket.escalate)}" if ticket.escalate else "the policy asks for no hand-over"
    return f"<ul>{_marked(GOOD if state == 'right' else BAD, escape(f'{state}: {done}; {wanted}'))}</ul>"
