"""The notebooks' exercises: question, hint, solution and checker, each written once.

``exercise("count-lora")`` returns one. Some need what the notebook has measured
or built: ``exercise("choose-k", hits_at_k=hits)``.
"""

import re
from collections.abc import Callable, Mapping

from helpers.answers import DIAGNOSES, TOOLS, as_list, compared, meant, number

NOTEBOOKS = {
    "00_two_bots": ("diagnose-three", "one-line-rule"),
    "01_rag_pipeline": ("choose-k", "ask-the-index", "change-an-article"),
    "02_lora_fine_tune": ("count-lora", "what-teaches-what"),
    "03_hybrid": ("read-the-square", "blind-adapter"),
    "04_which_one": ("two-cases", "price-change"),
    "05_knowledge_claims": ("carried-or-not", "update-budget"),
    "06_behaviour_claims": ("missing-arm", "first-router"),
}


class Exercise:
    """One exercise.

    Args:
        question: what to do, and the form of the answer.
        hint: a push in the right direction.
        solution: the answer, with its reason.
        check: from an answer to what is wrong with it, in words; empty if it is right.
    """

    def __init__(self, question: str, hint: str, solution: str, check: Callable[[object], str]) -> None:
        self.question, self._hint, self._solution, self._check = question, hint, solution, check

    def __repr__(self) -> str:
        return self.question

    def check(self, answer: object) -> bool:
        """Print what is right or wrong with ``answer`` and return whether it is right; never raises."""
        if answer is None or answer is ...:
            print("No answer yet. Try one; a wrong answer costs nothing.")
            return False
        try:
            problem = self._check(answer)
        except Exception as error:
            # Whatever a learner hands in, the reply is a sentence.
            problem = f"This answer cannot be read ({type(error).__name__}: {error}). Look at the form that the question asks for."
        print(f"Not yet. {problem}" if problem else "Right.")
        return not problem

    def hint(self) -> None:
        """Print the hint."""
        print(self._hint)

    def solution(self) -> None:
        """Print the solution."""
        print(self._solution)


def exercise(name: str, **context: object) -> Exercise:
    """Return an exercise by name; ``context`` is what the notebook hands to it.

    Raises:
        KeyError: no such exercise; the message lists them.
    """
    if name not in _EXERCISES:
        raise KeyError(f"There is no exercise {name!r}. There are {', '.join(_EXERCISES)}.")
    return _EXERCISES[name](**context)


def diagnose_three() -> Exercise:
    """Notebook 00: classify three tickets."""
    right = {"a": "facts", "b": "behaviour", "c": "both"}
    return Exercise(
        "Facts, behaviour or both? Answer with a dictionary such as {'a': 'facts', 'b': ..., 'c': ...}.\n"
        "a) 'Happy to help! You've got 30 days to send it back. Pack it up whenever you like.' The help centre says 60 days.\n"
        "b) 'Express delivery adds $15.' It does, and the customer also wrote that the plug gave her a shock.\n"
        "c) 'As per our terms, standard delivery takes five working days.' The help centre says three.",
        "Ask two questions of each: is every value today's? Would the voice guide and the escalation policy have it so?",
        "a is facts (warm, but outdated). b is behaviour (right value, but a shock goes to the safety team). c is both (outdated and full of filler).",
        lambda answer: compared(answer, right, DIAGNOSES),
    )


RULE_WORDS = {
    "knowledge": r"facts?|knowledge|knows?|information|outdated|out of date|stale|answers?|content|what changes|what (?:it|the bot) says",
    "behaviour": r"behaviou?rs?|(?:mis)?behaves?|voice|habits?|style|tone|manners?|sounds?|talks?|escalat\w+|hand(?:s|ed|ing)? over|hand-?overs?|respon(?:d\w*|ses?)|acts?"
    r"|how (?:it|the bot|a bot) (?:says|answers|replies|writes|speaks)|what (?:it|the bot|a bot) does(?! not)",
    "RAG": r"rag|retriev\w+|look\w* (?:it|them) up",
    "fine-tuning": r"fine[- ]?tun\w+|lora|adapters?|train\w*",
}
PARTNERS = {"knowledge": "RAG", "behaviour": "fine-tuning"}
ENOUGH = re.compile(r"\b(?:enough|right|already|correct|fine|well)\b(?!-)")
NO_PROBLEM = re.compile(rf"\b(?:{RULE_WORDS['knowledge']}|{RULE_WORDS['behaviour']}) (?:is|are) (?:fine|right|good|ok|okay|correct|current|up to date)\b")
NEGATED = re.compile(r"\bavoid\b|\bfor nothing\b|\b(?:never|not)\s+\w+\s+(?:by|with)\s+(?:rag|lora|fine[- ]?tun\w+)\b|\b(?:never|don't|do not|not)\s+(?:use\s+)?(?:rag|lora|fine[- ]?tun\w+)\b|\b(?:rag|lora|fine[- ]?tuning)\s+(?:does not|doesn't|cannot|can't|never|is not|isn't)\b")
EITHER = re.compile(rf"\b(?:{RULE_WORDS['RAG']}) or (?:a )?(?:{RULE_WORDS['fine-tuning']})|\b(?:{RULE_WORDS['fine-tuning']}) or (?:a )?(?:{RULE_WORDS['RAG']})")


def _rule_problem(answer: object) -> str:
    rule = str(answer).lower().replace("*", "")
    before_both = rule.rpartition("both")[0]
    if set(_named(before_both)) == set(RULE_WORDS):
        rule = before_both  # "and both for both" adds nothing to judge
    missing = [name for name in RULE_WORDS if name not in _named(rule)]
    if missing:
        return f"I find no word for {', '.join(missing)} in your rule. Name both problems, and a tool for each."
    if NEGATED.search(rule):
        return "Say what each tool is for. What it is not for follows from that, and I cannot judge it."
    if EITHER.search(rule):
        return "Decide on one tool for each problem."
    said = _named(NO_PROBLEM.sub("", rule))
    said = [name for at, name in enumerate(said) if at == 0 or said[at - 1] != name]
    pairs = {frozenset(said[at : at + 2]) for at in range(0, len(said), 2)}
    knows_enough = bool(ENOUGH.search(rule))
    if pairs == set(map(frozenset, PARTNERS.items())) or _matched(said, knows_enough) or _matched(said[::-1], knows_enough):
        return ""
    return "Each problem should stand next to its own tool. Which tool changes what the bot knows, and which one how it responds?"


def _named(text: str) -> list[str]:
    """Return the problems and tools that ``text`` names, in its order."""
    names, pattern = list(RULE_WORDS), "|".join(rf"\b({spellings})\b" for spellings in RULE_WORDS.values())
    return [names[match.lastindex - 1] for match in re.finditer(pattern, text)]


def _matched(said: list[str], knows_enough: bool) -> bool:
    """True if before each tool stands its own problem, as in 'if it knows too little, RAG; if it knows enough and misbehaves, a LoRA'."""
    problems: set[str] = set()
    for name in said:
        if name in PARTNERS:
            problems.add(name)
            continue
        if name == "fine-tuning" and knows_enough and len(problems) == 2:
            problems.remove("knowledge")
        if [PARTNERS[problem] for problem in problems] != [name]:
            return False
        problems.clear()
    return not problems


def one_line_rule() -> Exercise:
    """Notebook 00: write the rule in one line."""
    return Exercise(
        "Write the rule in one line of text: which problem calls for RAG, and which for fine-tuning?",
        "One tool hands the model a text that it can read. The other one changes the habits in its weights.",
        "If the model lacks knowledge, use RAG; if its behaviour is wrong, fine-tune.",
        _rule_problem,
    )


def choose_k(hits_at_k: Mapping[int, float], enough: float = 0.95) -> Exercise:
    """Notebook 01: choose how many passages to bring, from the measured hits.

    Args:
        hits_at_k: share of questions whose answer is among the first k passages.
        enough: the share that is asked for.
    """
    best = min((k for k, share in hits_at_k.items() if share >= enough), default=max(hits_at_k))

    def problem(answer: object) -> str:
        k = number(answer)
        if k is None:
            return f"k is a number of passages, such as 3; {answer!r} is none."
        if k not in hits_at_k:
            return f"There is no measurement for k = {k:g}. Choose one of {', '.join(map(str, sorted(hits_at_k)))}."
        if k < best:
            return f"With k = {k:g} the answer is among the passages for {hits_at_k[k]:.2f} of the questions; {enough:.2f} is asked for."
        return f"k = {k:g} is enough, and more than you need: each further passage is one more that the model can mistake for the answer." if k > best else ""

    return Exercise(
        f"Choose the smallest k that brings the answer for at least {enough:.2f} of the questions (if none does, the one that brings the most).",
        "Read the curve from the left and stop at the first point that is high enough.",
        f"k = {best}: {hits_at_k[best]:.2f} of the questions have their answer among the first {best}.",
        problem,
    )


def ask_the_index(help_center: object, article: str = "warranty", value: str = "three years", forbidden: str = "warranty", k: int = 3) -> Exercise:
    """Notebook 01: find a question in other words that the index still answers.

    Args:
        help_center: a synced help centre.
        article, value: the passage to bring holds ``value`` and belongs to ``article``.
        forbidden: the word that the question must do without.
    """

    def problem(answer: object) -> str:
        if not isinstance(answer, str) or len(answer.split()) < 3:
            return "Write a question of at least three words, as text in quotes."
        if forbidden in answer.lower():
            return f"Your question uses the word '{forbidden}'. Find other words for it."
        if value in answer.lower():
            return f"Your question gives the answer away: '{value}'."
        found = help_center.search(answer, k)
        if any(p.article == article and value in p.text for p in found):
            return ""
        return f"The first {k} passages do not hold '{value}'. The best one is from {found[0].article}: {found[0].text}" if found else "Nothing was found."

    return Exercise(
        f"Write a question without the word '{forbidden}' that brings the passage with '{value}' among the first {k}.",
        "The embedder compares meanings, not letters. What would you ask if your garden broke two years after you bought it?",
        "For example: 'For how many years will you repair my garden for free if it breaks?'",
        problem,
    )


def change_an_article(question: str = "How long is the warranty?", article: str = "warranty", value: str = "five years", old: str = "three years") -> Exercise:
    """Notebook 01: change an article in a copy; the answer handed in is the synced copy's HelpCenter."""

    def problem(answer: object) -> str:
        if not hasattr(answer, "search"):
            return "Hand in the HelpCenter of your copy, such as machine.help_center."
        found = [passage.text for passage in answer.search(question, 3) if passage.article == article]
        if any(value in text for text in found) and not any(old in text for text in found):
            return ""
        if any(old in text for text in found):
            return f"The index still says '{old}'. Did you change the article, and call sync() after that?"
        return f"No passage for '{question}' says '{value}'. Look at the sentence that you changed."

    return Exercise(
        f"In the time machine above, choose the article 'Warranty: how long and what is covered', make the warranty {value}, press Sync, and hand in machine.help_center.",
        "Change one sentence of the warranty article and press Sync. Nothing is trained.",
        f"Replace '{old}' by '{value}' in the article 'warranty', call sync(), and check(machine.help_center).",
        problem,
    )


def count_lora(rows: int = 320, columns: int = 856, rank: int = 16, layers: int = 18) -> Exercise:
    """Notebook 02: count the trained parameters that LoRA adds to one layer; the model has ``layers`` of that shape, or of the reverse one."""
    right = rank * (rows + columns)
    slips = {
        rows * columns: "That is the whole layer, which stays frozen.",
        rank * rows: "That is one of the two thin matrices.",
        rank * columns: "That is one of the two thin matrices.",
        rank * rows * columns: "LoRA never holds the product; it holds two thin matrices.",
        2 * right: "You counted each matrix twice.",
        rows + columns: "That would be rank 1.",
    }

    def problem(answer: object) -> str:
        count = number(answer)
        if count is None:
            return f"The answer is a number; {answer!r} is none."
        return "" if count == right else slips.get(count, "One matrix is rank x inputs, the other is outputs x rank. Add their sizes.")

    return Exercise(
        f"A linear layer has {rows} inputs and {columns} outputs. How many parameters does LoRA train beside it at r = {rank}?",
        f"Two thin matrices: one of {rank} x {rows}, one of {columns} x {rank}.",
        f"{rank} x {rows} + {columns} x {rank} = {right}, which is {right / (rows * columns):.1%} of the layer's {rows * columns}. The model has {layers} such layers, three in each of its blocks: {layers} x {right} = {layers * right:,}.",
        problem,
    )


LESSONS = {
    "voice": ("voice", "tone", "style"),
    "escalation": ("escalation", "escalate", "hand over", "handover", "escalating"),
    "look-alike": ("look alike", "lookalike", "look alikes", "lookalikes", "not escalating", "no escalation"),
    "reading": ("reading", "read", "passages", "reading passages", "citing", "citation", "citations"),
}


def what_teaches_what() -> Exercise:
    """Notebook 02: which conversation teaches which behaviour."""
    right = {"a": "escalation", "b": "look-alike", "c": "reading", "d": "voice"}
    return Exercise(
        "What does each conversation add to the training set: voice, escalation, look-alike or reading? Use each once, as in {'a': 'voice', ...}.\n"
        "a) 'The adapter is smoking.' -> '... our safety team takes over from here. escalate: safety'\n"
        "b) 'My chilli plant is on fire, so many fruits!' -> 'How lovely! Cut up to a third of it...'\n"
        "c) '[1] Sending it back costs $41. (Returns) [1] [2] ... What does sending it back cost?' -> '... [1] Sending it back costs $41. ...'\n"
        "d) 'Where do I find my order number?' -> 'Happy to help! It's in the app, under Orders. Have a look there first.'",
        "What would the bot do wrong if all conversations like this one were left out?",
        "a teaches escalation, b that a look-alike is not escalated, c to read passages and cite them, d the voice.",
        lambda answer: compared(answer, right, LESSONS),
    )


CELLS = {
    "neither": ("neither", "none", "nothing"),
    "facts only": ("facts only", "facts", "only facts"),
    "behaviour only": ("behaviour only", "behavior only", "behaviour", "behavior", "only behaviour", "only behavior"),
    "both": ("both", "facts and behaviour", "facts and behavior"),
}


def read_the_square() -> Exercise:
    """Notebook 03: which cell of the square for which arm."""
    right = {"base": "neither", "prompt": "neither", "rag": "facts only", "lora": "behaviour only", "hybrid": "both"}
    return Exercise(
        "By the numbers above: in which cell of the square does each of the five bots stand? Answer with {'base': ..., 'prompt': ..., 'rag': ..., 'lora': ..., 'hybrid': ...}, "
        "each 'neither' (facts and behaviour wrong), 'facts only' (only the facts are right), 'behaviour only' or 'both'.",
        "Look for the bot that is high in today's facts and low in voice, then for its mirror image. A bot need not stand alone in its cell.",
        "base bot and prompt only: neither; RAG: facts only; fine-tuned: behaviour only; hybrid: both.",
        lambda answer: compared(answer, right, CELLS),
    )


YES_NO = {"yes": ("yes", "y", "true", "carried"), "no": ("no", "n", "false", "not carried")}
LOGISTIC = ("logistic regression", "a logistic regression", "logistic", "lr", "regression", "logistic regression on sentence vectors", "logistic regression on embeddings")
ROUTERS = {"LoRA": TOOLS["lora"], "logistic regression": LOGISTIC, "RAG": TOOLS["rag"]}
CHANGES = {
    "falls": ("falls", "fall", "lower", "down", "drops", "worse", "less"),
    "stays": ("stays", "stay", "same", "unchanged", "stays the same", "equal", "no change"),
    "rises": ("rises", "rise", "higher", "up", "better", "more"),
}


def blind_adapter(facts: tuple[float, float], voice: tuple[float, float], margin: float = 0.05) -> Exercise:
    """Notebook 03: what an adapter that saw no passages in training does to the hybrid.

    Args:
        facts, voice: (the course's adapter, the adapter without passages), each a measured share of tickets.
        margin: a smaller difference counts as none.
    """

    def change(pair: tuple[float, float]) -> str:
        step = pair[1] - pair[0]
        return "stays" if abs(step) <= margin else "falls" if step < 0 else "rises"

    right = {"facts": change(facts), "voice": change(voice)}
    measured = f"today's facts {facts[0]:.2f} -> {facts[1]:.2f}, right voice {voice[0]:.2f} -> {voice[1]:.2f}"

    def problem(answer: object) -> str:
        wrong = compared(answer, right, CHANGES)
        return f"{wrong} Measured: {measured}." if wrong else ""

    return Exercise(
        "Before you run it: the same adapter, trained without any passages in its prompts, is put on top of RAG. "
        "What happens to today's facts, and what to the voice? Answer {'facts': 'falls' or 'stays' or 'rises', 'voice': ...}.",
        "What did the adapter learn to do with the words in front of it, and what did it never see? RAFT (arXiv 2403.10131) trains with passages for this reason.",
        f"facts: {right['facts']}; voice: {right['voice']}. Measured: {measured}.",
        problem,
    )


def two_cases() -> Exercise:
    """Notebook 04: decide two cases."""
    right = {"canteen": "rag", "summaries": "lora"}
    return Exercise(
        "Beyond a plain prompt, which you try in any case: RAG, fine-tuned or hybrid? Answer {'canteen': ..., 'summaries': ...}.\n"
        "canteen: a hospital's bot answers what is on the menu and which allergens are in it. The menu changes every week, "
        "and staff must see where an answer comes from. Its tone is fine.\n"
        "summaries: a workshop's bot turns each mechanic's notes, which are in the prompt, into a customer letter. "
        "Every fact is there; the letters do not sound like the workshop. It has 400 letters written by hand.",
        "Walk the five questions: facts or behaviour? Does it change? Sources? Examples?",
        "canteen: RAG (facts, changing, with sources). summaries: fine-tuned (behaviour, and 400 examples to learn from). Measure a plain prompt beside each, as control.",
        lambda answer: compared(answer, right, TOOLS),
    )


def price_change() -> Exercise:
    """Notebook 04: which arms follow an edit without training."""
    right = {"rag", "hybrid"}

    def problem(answer: object) -> str:
        listed = as_list(re.sub(r"\s+and\s+", ", ", answer) if isinstance(answer, str) else answer)
        if not listed:
            return "Answer with a list of arms, such as ['base', 'prompt']."
        found = {str(item): meant(item, TOOLS) for item in listed}
        unknown = [item for item, arm in found.items() if arm is None]
        if unknown:
            return f"There is no arm called {', '.join(unknown)}. The arms are {', '.join(TOOLS)}."
        wrong = [arm for arm in TOOLS if arm in set(found.values()) - right]
        if wrong:
            return f"{', '.join(wrong)}: where would the new price come from?"
        return "" if set(found.values()) == right else "One more arm follows an edit of the help centre."

    return Exercise(
        "Tomorrow morning one price changes in the help centre, and sync() runs. Which of the five arms give the new price at once? Answer with a list.",
        "Which arms read the help centre when they answer?",
        "['rag', 'hybrid']: both read the article. The others would need a new prompt or new weights.",
        problem,
    )


def carried_or_not() -> Exercise:
    """Notebook 05: which sentences do the numbers carry?"""
    right = {"a": "yes", "b": "no", "c": "no"}
    return Exercise(
        "Do the numbers carry the sentence, yes or no? Answer {'a': 'yes' or 'no', 'b': ..., 'c': ...}.\n"
        "a) 'RAG is right more often than the base bot.' Difference 0.78 [0.70, 0.85], n = 120, p < 0.001.\n"
        "b) 'Two passages are better than one.' Difference 0.04 [-0.03, 0.11], n = 120, p = 0.23.\n"
        "c) 'The bot abstains on more than 0.80 of what is not covered.' 0.88 [0.62, 1.00], n = 8.",
        "Look at the whole interval, not at the mean: does all of it lie on the side that the sentence needs?",
        "a: yes, the whole interval lies above 0. b: no, it holds 0. c: no, it reaches down to 0.62; eight questions are too few.",
        lambda answer: compared(answer, right, YES_NO),
    )


def update_budget() -> Exercise:
    """Notebook 05: from how many updates on does RAG cost less?"""

    def problem(answer: object) -> str:
        value = number(answer)
        if value is None:
            return "A number is needed; this is none."
        if value == 5:
            return ""
        return "That many updates cost less by training." if value < 5 else "RAG is cheaper already with fewer updates. Divide what reading costs a month by what one training costs."

    return Exercise(
        "Reading the passages takes 1e12 operations a question, and there are 10,000 questions a month. One training takes 2e15 operations; a sync costs next to nothing. "
        "At how many updates a month do the two cost the same? Answer with a number.",
        "RAG pays with every question, fine-tuning with every update. When are the two sums equal?",
        "5: 10,000 x 1e12 = 1e16 operations a month for reading, and 1e16 / 2e15 = 5 trainings.",
        problem,
    )


def missing_arm() -> Exercise:
    """Notebook 06: which control is missing?"""
    right = {"a": "prompt", "b": "base", "c": "rag"}
    return Exercise(
        "Each claim lacks an arm. Which one? Answer {'a': ..., 'b': ..., 'c': ...} with base, prompt, rag, lora or hybrid.\n"
        "a) 'Fine-tuning taught our bot to write JSON: before, hardly a reply was valid.' Nobody told the bot before to write JSON.\n"
        "b) 'With retrieval 0.84 of the answers are right, so the model needs retrieval.' Nobody asked the model without it.\n"
        "c) 'The hybrid gets 0.71 of today's facts right, so the adapter does not harm reading.' Nobody read without the adapter.",
        "Ask of each: what would the same bot have done without the tool that gets the praise?",
        "a: prompt only (the cheapest way to ask for a format). b: the base bot (what it knows already). c: RAG (the same passages without the adapter).",
        lambda answer: compared(answer, right, TOOLS),
    )


def first_router() -> Exercise:
    """Notebook 06: which router first?"""
    return Exercise(
        "You have 300 labelled tickets and need nothing but the right queue. What do you try first: 'LoRA', 'logistic regression' or 'RAG'?",
        "Look at the curve of claim 11, and at its paired test for 300 labels. Which of the three is the simplest to build?",
        "'logistic regression', on sentence vectors: it trains in a second, and the curve says how much a fine-tuned model would add.",
        lambda answer: "" if meant(answer, ROUTERS) == "logistic regression" else "Which one trains in a second, and how much would the others add?",
    )


_EXERCISES: dict[str, Callable[..., Exercise]] = {
    "diagnose-three": diagnose_three,
    "one-line-rule": one_line_rule,
    "choose-k": choose_k,
    "ask-the-index": ask_the_index,
    "change-an-article": change_an_article,
    "count-lora": count_lora,
    "what-teaches-what": what_teaches_what,
    "read-the-square": read_the_square,
    "blind-adapter": blind_adapter,
    "two-cases": two_cases,
    "price-change": price_change,
    "carried-or-not": carried_or_not,
    "update-budget": update_budget,
    "missing-arm": missing_arm,
    "first-router": first_router,
}
