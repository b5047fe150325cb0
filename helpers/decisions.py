"""The decision walk: five questions that lead to a tool. No widgets here."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One step of the walk; ``options`` are (label, answer) pairs."""

    text: str
    options: tuple[tuple[str, str], ...]


YES_NO = (("yes", "yes"), ("no", "no"))
QUESTIONS = {
    "kind": Question(
        "What goes wrong: the facts, or the behaviour?",
        (("facts", "facts"), ("behaviour", "behaviour"), ("both", "both"), ("not sure", "unsure")),
    ),
    "changes": Question("Does the knowledge change often?", YES_NO),
    "citations": Question("Must a reader be able to see the source?", YES_NO),
    "examples": Question("Do you have a few hundred examples of the behaviour that you want?", YES_NO),
    "unsure": Question("Are you still unsure?", YES_NO),
}
BRANCHES = {
    "rag": "RAG. Put the knowledge where the bot can look it up; an edit is in the next answer, and the answer says where it comes from.",
    "lora": "Fine-tuning. The knowledge is there already; teach the habit by examples.",
    "hybrid": "The hybrid. Look the facts up, and teach the habit by examples that have retrieved passages in them.",
    "prompt": "Prompt only. A few stable facts or rules fit into a system prompt. Measure that before you build more; where the behaviour is wrong, collect examples of good replies meanwhile.",
    "start": "Start with RAG. It needs no training, an edit can be undone, and its sources show you what is missing; then measure again.",
}
WORKED_EXAMPLES = {
    "facts": {"kind": "facts", "changes": "yes", "citations": "yes"},
    "behaviour": {"kind": "behaviour", "examples": "yes"},
}


def walk(answers: Mapping[str, str | None]) -> tuple[list[str], str | None]:
    """Follow ``answers`` and return (questions on the way, branch reached).

    The branch is None while the last question on the way is open. Answers to
    questions that are not on the way do not count.
    """
    steps = ["kind"]
    kind = answers.get("kind")
    if kind is None:
        return steps, None
    if kind in ("facts", "both"):
        steps += ["changes", "citations"]
    if kind in ("behaviour", "both"):
        steps.append("examples")
    for at, step in enumerate(steps):
        if answers.get(step) is None:
            return steps[: at + 1], None
    teach = "examples" in steps and answers["examples"] == "yes"
    # Whoever teaches behaviour looks wrong facts up as well, also where they seldom change: an adapter does not mend them.
    look_up = "changes" in steps and ("yes" in (answers["changes"], answers["citations"]) or teach)
    if look_up or teach:
        return steps, "hybrid" if look_up and teach else "rag" if look_up else "lora"
    if kind == "behaviour":
        return steps, "prompt"
    steps.append("unsure")
    return steps, {"yes": "start", "no": "prompt"}.get(answers.get("unsure") or "")


def evidence_from(arms: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, str]:
    """Return one sentence of measured evidence a branch, from the ``arms`` of a scoreboard.

    Raises:
        KeyError: an arm or a metric is missing; the message names it.
    """

    def found(arm: str, metric: str) -> str:
        score = arms[arm][metric]
        return f"{score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}]"

    today, voice, done = "facts_current", "voice", "resolved"
    rag = (
        f"Measured here, today's facts are right for {found('rag', today)} of the tickets with RAG, "
        f"{found('base', today)} with the base bot, {found('lora', today)} after fine-tuning."
    )
    return {
        "rag": rag,
        "start": rag,
        "lora": f"Measured here, the voice is right in {found('lora', voice)} of the replies after fine-tuning, "
        f"{found('base', voice)} with the base bot, {found('rag', voice)} with RAG.",
        "hybrid": f"Measured here, the hybrid resolves {found('hybrid', done)} of all tickets, "
        f"RAG alone {found('rag', done)}, fine-tuning alone {found('lora', done)}.",
        "prompt": "It is the cheapest thing to try, and the control for everything else. On our small model it was not enough: "
        f"right voice in {found('prompt', voice)} of the replies, {found('prompt', done)} of all tickets resolved. A larger model follows instructions better.",
    }
