"""The claim about many sources: an index that grows a thousandfold, against what an adapter can hold."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from helpers.base_model import companies
from helpers.base_model.slots import fill, invented_name
from helpers.bots import SupportBot
from helpers.claims.outcome import Outcome, Report
from helpers.knowledge import Article, HelpCenter
from helpers.paths import HELP_CENTER, workspace
from helpers.reranker import load_reranker
from helpers.scenarios import Ticket, load_tickets
from helpers.scoring import fact_right
from helpers.tuning import Conversation, LoraSettings, train_adapter

SIZES = (30, 300, 3_000, 30_000)
HELD_FACTS = (50, 200, 800)
RANKS = (1, 16)
EXAMPLES = 6_400


def growing(report: Report) -> Outcome:
    """Measure RAG's answers and seconds with ever more passages in the index, and facts recalled by adapters of two sizes."""
    outcome = Outcome()
    tickets, answering = _thirty_facts()
    for size in SIZES:
        report(f"{size} passages ...")
        load_reranker.cache_clear()  # a search is timed, so none of its pairs may be known
        help_center = HelpCenter(_articles(answering, size), workspace() / "indexes" / f"sources-{size}")
        help_center.clear()
        synced = help_center.sync()
        outcome.counts[f"seconds to index {size} passages"] = round(synced.seconds, 1)
        outcome.counts[f"passages, {size}"] = float(synced.added)
        begin = time.perf_counter()
        help_center.search_all([t.text for t in tickets], k=2)
        outcome.counts[f"seconds a search, {size} passages"] = round((time.perf_counter() - begin) / len(tickets), 4)
        replies = SupportBot(help_center=help_center).ask_all([t.text for t in tickets])
        outcome.measure(f"facts, {size} passages", [float(fact_right(t.facts[0], r.text)) for t, r in zip(tickets, replies, strict=True)])
    for rank in RANKS:
        for size in HELD_FACTS:
            report(f"{size} facts in an adapter of rank {rank} ...")
            facts = invented_facts(size)
            folder = workspace() / "claims" / f"held-{rank}-{size}"
            trained = train_adapter(facts, folder, LoraSettings(rank=rank, alpha=2 * rank, epochs=max(1, EXAMPLES // size)))
            outcome.counts[f"parameters of an adapter, rank {rank}"] = float(trained.trained_parameters)
            replies = SupportBot(adapter=folder).ask_all([c[0]["content"] for c in facts])
            outcome.measure(f"facts recalled, rank {rank}, {size} taught", [float(r.text == c[1]["content"]) for c, r in zip(facts, replies, strict=True)])
    return outcome


def invented_facts(count: int, seed: int = 0) -> list[Conversation]:
    """Return ``count`` questions with their answers, of invented companies, under names that nobody has met."""
    rng, facts, asked = random.Random(seed), [], Counter()
    shops = companies.load(companies.FOLDERS[:1])
    while len(facts) < count:
        company = rng.choice(shops)
        question = rng.choice([q for q in company.questions if q.answer is not None])
        values = {"{company}": invented_name(rng)}
        text, answer = (fill(part, values, rng) for part in (question.text, company.sentences[question.answer].text))
        if not asked[text]:
            asked[text] += 1
            facts.append([{"role": "user", "content": f"{company.name.replace('-', ' ').capitalize()}: {text}"}, {"role": "assistant", "content": answer}])
    return facts


def _thirty_facts() -> tuple[list[Ticket], list[str]]:
    """Return the tickets on the thirty facts that most tickets ask for, and the sentences that state them."""
    tickets = load_tickets("facts")
    wanted = [i for i, _ in Counter(t.facts[0].id for t in tickets).most_common(SIZES[0])]
    chosen = [t for t in tickets if t.facts[0].id in wanted]
    return chosen, list(dict.fromkeys(t.facts[0].current_sentence for t in chosen))


def _articles(answering: Sequence[str], size: int) -> dict[str, Article]:
    """Return articles with about ``size`` passages: those that answer first, then the rest of Fernhollow, then other companies."""
    full = HelpCenter.from_folder(HELP_CENTER / "current")
    articles, passages = {}, 0
    for article in full.articles.values():
        lines = [(d.metadata["heading"], d.metadata["text"]) for d in full.passages(article) if d.metadata["text"] in answering]
        if lines:
            articles[article.name] = Article(article.name, article.title, "\n\n".join(f"## {heading}\n{text}" for heading, text in lines))
            passages += len(lines)
    for article in chain(full.articles.values(), _others()):
        more = len(full.passages(article)) - (len(full.passages(articles[article.name])) if article.name in articles else 0)
        if passages + more > size:
            break
        articles[article.name], passages = article, passages + more
    return articles


def _others(seed: int = 0) -> Iterator[Article]:
    """Yield articles of the invented companies, again and again with other values."""
    rng, number = random.Random(seed), 0
    shops = companies.load_headed(companies.FOLDERS[:1])
    while True:
        for company in shops:
            for at in dict.fromkeys(s.article for s in company.sentences):
                values = {"{company}": invented_name(rng)}
                sentences = [s for s in company.sentences if s.article == at]
                text = "\n\n".join(f"## {fill(s.heading or s.title, values, rng)}\n{fill(s.text, values, rng)}" for s in sentences)
                number += 1
                yield Article(f"other-{number}", fill(sentences[0].title, values, rng), text)
