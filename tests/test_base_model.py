"""The recipe of the base model: its data parses, and a run that is killed goes on as if nothing had happened."""

import itertools
import json
import random
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fakes import reply
from transformers import LlamaForCausalLM

from helpers import check
from helpers.base_model import searching
from helpers.base_model import companies as companies_module
from helpers.base_model import stream as stream_module
from helpers.base_model import train as train_module
from helpers.base_model.companies import Found, parse
from helpers.base_model.slots import SLOT, WORDS, draw, fill, value_like, words
from helpers.base_model.batches import BEGINNING, POOL, Batches
from helpers.base_model.evaluate import strange_words
from helpers.base_model.export import export
from helpers.base_model.losses import CHOOSING_HEAD, LIKENESS_HEAD, Trunk, choice_scores, likeness_scores, losses_of
from helpers.base_model.meaning import WIDTH, Meanings
from helpers.base_model.searching import leave_out_doubtful, search
from helpers.base_model.stream import Stream, Unanswered, as_reranked, beside_tempting, choose_passages
from helpers.base_model.tokenizer import save
from helpers.base_model.tokenizer import train as train_tokenizer
from helpers.base_model.train import Recipe, build_model
from helpers.knowledge import Passage
from helpers.prompts import NOTHING_FOUND, UNKNOWN, UNSURE
from helpers.scenarios import read_lines

PROSE = ["The gardener waters the young plants early every morning.", "A quiet engine helps everybody sleep on the train.", "Nobody remembers where the second ladder was stored."]
RECIPE = Recipe(hidden=32, layers=1, heads=2, vocabulary=900, batch=4, million_tokens=0.012, warmup_steps=4, embedder_start=False)


def ranked(companies):
    """Rankings by chance in place of the embedder's."""
    rng = random.Random(0)
    for company in companies:
        for question in company.questions:
            question.ranking = rng.sample(range(len(company.sentences)), 8)
    return companies


@pytest.fixture(scope="module")
def companies():
    return ranked(companies_module.load_headed())


@pytest.fixture
def stream(companies) -> Stream:
    return Stream(companies, PROSE, seed=0)


@pytest.fixture(scope="module")
def tokenizer(companies):
    stream = Stream(companies, PROSE, seed=0)
    return train_tokenizer((f"{e.prompt}\n{e.answer}" for e in map(stream.example, range(400))), RECIPE.vocabulary)


def test_every_company_can_be_read_and_asked(companies):
    files = [path.stem for folder in companies_module.FOLDERS for path in folder.glob("*.txt")]
    assert len(companies) == len(files) == len(set(files)) >= 50
    for company in companies:
        assert len(company.sentences) >= 20, company.name
        assert sum(question.answer is not None for question in company.questions) >= 40, company.name
        assert all(sentence.title for sentence in company.sentences), company.name
        for question in company.questions:
            assert question.answer is None or company.sentences[question.answer].article == question.article, (company.name, question.text)


def test_a_search_that_found_nothing_is_answered_with_not_knowing(stream):
    found = [e for e in map(stream.example, range(20_000, 24_000)) if NOTHING_FOUND in e.prompt]
    assert len(found) > 50 and all(e.prompt.startswith(f"{NOTHING_FOUND}\n\n") and not e.gold for e in found)
    assert all(UNKNOWN in e.answer for e in found if e.task == "abstain")
    assert {"abstain", "topic", "mood"} <= {e.task for e in found}


def test_where_the_search_is_sure_a_passage_answers_mostly_the_first(stream):
    found = [e for e in map(stream.example, range(60_000, 64_000)) if e.task in ("read", "abstain") and " [1]\n" in e.prompt]
    unsure, sure = ([e.gold for e in found if e.prompt.startswith(UNSURE) is said] for said in (True, False))
    assert len(unsure) > 300 and len(sure) > 300
    assert sure.count((1,)) / len(sure) > 0.6 > 0.4 > unsure.count((1,)) / len(unsure)
    assert () not in sure and unsure.count(()) / len(unsure) > 0.2


def test_every_slot_is_known(companies):
    used = {match.group(1) for c in companies for text in [s.text for s in c.sentences] + [s.title for s in c.sentences] + [q.text for q in (*c.questions, *c.near_misses)] for match in SLOT.finditer(text)}
    rng = random.Random(0)
    assert len(used) > 15 and all(draw(kind, rng) for kind in used)
    for company in companies:
        for text in [s.text for s in company.sentences] + [q.text for q in company.questions]:
            assert "{" not in SLOT.sub("", text) and "}" not in SLOT.sub("", text), (company.name, text)
    with pytest.raises(KeyError):
        draw("nonsense", rng)


def test_values_come_in_many_currencies_spellings_and_alphabets():
    rng = random.Random(0)
    money = " ".join(draw("money", rng) for _ in range(400))
    assert all(sign in money for sign in ("$", "£", "€", "kr", "CHF", "EUR", "pounds"))
    names = " ".join(draw("name", rng) for _ in range(400))
    assert not names.isascii() and any(word[1:] != word[1:].lower() for word in names.split())
    for kind in ("email", "web"):
        assert all(draw(kind, rng).isascii() and " " not in draw(kind, rng) for _ in range(400)), kind
    word = stream_module.splice("harbour", "lantern", rng)
    assert word.startswith("ha") and word.endswith("rn")


def test_a_garbled_copy_is_noticed_and_a_good_one_is_not():
    shown = (Passage("A single ticket to Tesk costs £8.40 for an adult.", "fares", "Fares", "Fares", 0.9),)
    assert strange_words(reply("[1] A single ticket to Tesk costs £8.40 for an adult.", shown)) == []
    assert strange_words(reply("[1] A single ticket to Teskholf costs sitsk.", shown)) == ["teskholf", "sitsk"]
    assert strange_words(reply("I do not know.", shown)) == []


def test_no_word_of_the_word_lists_is_lost():
    for path in sorted(WORDS.glob("*.txt")):
        assert list(words(path.stem)) == path.read_text(encoding="utf-8").splitlines(), path.name
        assert all(words(path.stem)), path.name


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ("three years", r"[\w-]+ years"),
        ("60 days", r"\d\d days"),
        ("$4.50", r"\$\d\.\d\d"),
        ("every Friday", r"every \w+day"),
        ("March to June", r"\w+ to \w+"),
        ("blue", rf"{'|'.join(words('colours'))}"),
        ("Account > Billing", r".+ > .+"),
        ("care@fernhollow.example", r"\S+@\S+\.\w+"),
        ("free of charge", r".*\d.*"),
        ("Brindle Street", r".+"),
    ],
)
def test_another_value_is_of_the_same_kind(value, shape):
    drawn = {value_like(value, random.Random(seed)) for seed in range(30)}
    assert len(drawn) > 4 and all(re.fullmatch(shape, found) for found in drawn), drawn


def test_a_slot_has_one_value_in_an_article():
    values = {}
    text = fill("It is {dur}, truly {dur}, not {dur2}.", values, random.Random(1))
    assert text == f"It is {values['{dur}']}, truly {values['{dur}']}, not {values['{dur2}']}."


def test_a_line_that_is_none_of_the_format_is_named():
    company = parse("company: Zoo\n# Prices\n- It costs {money}.\n? how much\n! is it open\n", "zoo.txt")
    assert (company.sentences[0].title, [q.answer for q in company.questions]) == ("Prices", [0, None])
    with pytest.raises(ValueError, match="zoo.txt, line 2: .* not 'a stray line'"):
        parse("company: Zoo\na stray line\n", "zoo.txt")


def test_an_example_depends_on_the_seed_and_its_number_alone(stream, companies):
    numbers = [0, 7, 30_000, 60_001, 60_002]
    forward = [stream.example(number) for number in numbers]
    again = Stream(companies, PROSE, seed=0)
    assert [again.example(number) for number in reversed(numbers)] == forward[::-1]
    assert [Stream(companies, PROSE, seed=1).example(number) for number in numbers] != forward


def test_examples_teach_what_the_lesson_needs(stream):
    examples = [stream.example(100_000 + number) for number in range(1500)]
    assert {e.task for e in examples} == {"read", "two", "remember", "contradicted", "topic", "mood", "abstain", "unknown", "style"} - {"contradicted"}
    for example in examples:
        assert example.prompt and example.answer and "escalate:" not in example.answer
        if example.task == "read":
            assert f"{example.answer} (" in example.prompt
        if example.task in ("abstain", "unknown"):
            assert example.answer == "I do not know."
        if example.task in ("topic", "mood"):
            assert example.system and "opic: " in example.answer and example.answer.startswith(("Topic: ", "topic: ", "I do not know.\n", "["))
        if example.shown:
            assert example.prompt.count(")") >= len(example.shown) <= 8
    assert max(len(stream.example(number).shown) for number in range(300)) == 2


def test_memory_does_not_answer_for_passages_that_do_not(stream):
    stream.fact_rows = [1000 * number for number in range(len(stream.facts))]
    rng = random.Random(0)
    examples = [stream._contradicted(rng, 4, 0.12) for _ in range(400)]
    stated = [all(part in e.prompt for part in stream.facts[e.asked // 1000].statement.split("{value}")) for e in examples]
    assert stated == [e.task == "read" for e in examples]
    assert 60 < stated.count(False) < 160


def test_headings_are_questions_that_nobody_asks_any_more():
    for company in companies_module.load()[:20]:
        before = [q.text for q in company.questions]
        companies_module.give_headings(company)
        headings = {s.heading.rstrip("?").lower() for s in company.sentences if s.heading}
        gone = {text.rstrip("?.! ").lower() for text in before} - {q.text.rstrip("?.! ").lower() for q in company.questions}
        articles = {s.article for s in company.sentences}
        assert len(headings) > 0.7 * len(articles) and headings >= gone
        for number, sentence in enumerate(company.sentences[1:], 1):
            if sentence.heading and sentence.heading == company.sentences[number - 1].heading:
                assert sentence.article == company.sentences[number - 1].article


@pytest.mark.parametrize(("missing", "low", "high"), [(0.12, 0.35, 0.55), (0.02, 0.8, 0.97)])
def test_passages_come_as_a_retriever_brings_them(companies, missing, low, high):
    rng = random.Random(0)
    question = next(q for q in companies[0].questions if q.answer is not None and q.answer not in q.ranking)
    for most in (4, 1):
        chosen = [choose_passages(question, rng, most, missing) for _ in range(400)]
        assert all(1 <= len(found) <= most and len(set(found)) == len(found) for found in chosen)
        assert low < sum(question.answer in found for found in chosen) / 400 < high


def test_passages_come_as_they_are_shown_after_reranking(companies):
    """Mostly the answer alone, and the search is sure of it; where the answer is missing it never is."""
    rng = random.Random(0)
    answerable = next(q for q in companies[0].questions if q.answer is not None)
    for place in (1, 2, 7, None):
        answerable.ranking = [number for number in range(9) if number != answerable.answer][:8]
        if place:
            answerable.ranking[place - 1] = answerable.answer
        shown, sure = zip(*(as_reranked(answerable, rng) for _ in range(400)), strict=True)
        assert all(len(found) == len(set(found)) <= 2 and set(found) <= {answerable.answer, *answerable.ranking} for found in shown)
        assert 0.55 < sum(answerable.answer in found for found in shown) / 400 < 1
        assert ([answerable.answer] in shown) and (sum(found == [answerable.answer] for found in shown) > 280) is (place == 1)
        assert (sum(sure) > 240) is (place == 1) and not any(certain for found, certain in zip(shown, sure, strict=True) if not found)
    unanswered = next(q for q in companies[0].questions if q.answer is None)
    for question, missing in ((unanswered, 0.0), (answerable, 1.0)):
        shown, sure = zip(*(as_reranked(question, rng, missing) for _ in range(400)), strict=True)
        assert not any(question.answer in found for found in shown) and 70 < shown.count([]) < 150 and not any(sure)


def test_new_companies_come_last_and_as_the_retriever_brings_them(companies):
    """Titles tell the companies apart; in use, the answer to a question that is asked was retrieved."""
    known, new = companies[:20], companies[-20:]
    for company in (*known, *new):
        for sentence in company.sentences:
            sentence.title, sentence.heading = f"{'New' if company in new else 'Old'} page", ""
    stream = Stream(known, PROSE, unanswered=Unanswered(0.1, 0.04, 50_000), new=new)
    before, after = ([stream.example(start + number) for number in range(400)] for start in (30_000, 50_000))
    assert not any("(New page)" in e.prompt for e in before)
    assert sum("(New page)" in e.prompt for e in after) > sum("(Old page)" in e.prompt for e in after) > 0
    stream = Stream(known, PROSE, unanswered=Unanswered(0.1, 0.04, 50_000), new=new[:1])
    missed = [q for q in new[0].questions if q.answer is not None and q.answer not in q.ranking[:2]]
    prompts = [stream._read_company(random.Random(number), 2, 0.0, in_use=True, by_words=0.0).prompt for number in range(400)]
    asked = [prompt.rpartition("\n\n")[2].lower() for prompt in prompts if "(New page)" in prompt]
    assert missed and not any(q.text.lower() in asked for q in missed if "{" not in q.text)


def test_new_messages_come_only_as_in_use_and_then_mostly(companies):
    met, new = [("calm", "Where is my sofa?", "delivery")], [("angry", "the drill bit me", "injury")]
    stream = Stream(companies[:20], PROSE, messages=met, new_messages=new, unanswered=Unanswered(as_in_use=50_000))
    before, after = ([e.answer.lower() for e in map(stream.example, range(start, start + 600)) if e.task == "topic"] for start in (30_000, 50_000))
    assert any("delivery" in answer for answer in before) and not any("injury" in answer for answer in before)
    assert sum("injury" in answer for answer in after) > sum("delivery" in answer for answer in after) > 0


@pytest.fixture(scope="module")
def inn():
    """A company of two sentences, as the course's own search sees it."""
    return parse("# Inn\n- A single room is $40.\n? how much is a single\n~ does the single have a bath\n- Breakfast is at eight.\n? when is breakfast\n! Is there a sauna?\n", "inn.txt")


def test_where_the_search_was_asked_its_own_findings_are_read(inn, tmp_path):
    search([inn], tmp_path)
    single, breakfast, sauna = inn.questions
    assert single.found == Found((0,), True) and breakfast.found == Found((1,), True)
    assert [question.ranking for question in inn.questions[:2]] == [[0, 1], [1, 0]]
    assert not sauna.found.sure
    rng = random.Random(0)
    assert as_reranked(single, rng) == ([0], True)
    lacking, unsure = as_reranked(single, rng, missing=1.0)
    assert 0 not in lacking and not unsure
    for sure, low, high in ((False, 0.2, 0.5), (True, 0.0, 0.0)):
        missed = replace(single, found=Found((1,), sure))
        results = [as_reranked(missed, rng) for _ in range(400)]
        assert low <= sum(found == ([1], False) for found in results) / 400 <= high, "a search that is sure and wrong is not shown"
        assert all(0 in found for found, _ in results if found != [1])
    near = replace(inn.near_misses[0], found=Found((1, 0), False))
    assert beside_tempting(inn, near, rng) == [1, 0]


def test_what_nothing_should_answer_and_the_search_is_sure_of_is_left_out(inn):
    doubtful = replace(inn, questions=[replace(q, found=Found((1,), True)) for q in inn.questions], near_misses=[replace(inn.near_misses[0], found=Found((0,), sure)) for sure in (True, False)])
    leave_out_doubtful([doubtful])
    assert [q.answer for q in doubtful.questions] == [0, 1] and [near.found.sure for near in doubtful.near_misses] == [False]


def test_the_search_is_asked_once(inn, tmp_path, monkeypatch):
    search([inn], tmp_path)
    first = [one.found for one in (*inn.questions, *inn.near_misses)]
    monkeypatch.setattr(searching, "_search", None)
    search([inn], tmp_path)
    assert [one.found for one in (*inn.questions, *inn.near_misses)] == first


def test_a_near_miss_is_read_as_not_knowing():
    """As in use: the tempting sentence is shown, alone or with another one, the search is not sure, and nothing answers."""
    inn = parse("# Inn\n- A single room is $40.\n? how much is a single\n~ what is the suite\n- Breakfast is at eight.\n? when is breakfast\n", "inn.txt")
    for question in inn.questions:
        question.ranking = [question.answer, 1 - question.answer]
    stream = Stream([inn], PROSE, unanswered=Unanswered(as_in_use=50_000), near_misses=1.0)
    found = [stream._read_company(random.Random(number), 2, 0.0, in_use=True) for number in range(300)]
    assert all(e.prompt.startswith(UNSURE) and "A single room is $40." in e.prompt and e.answer == UNKNOWN and not e.gold for e in found)
    assert 100 < sum("Breakfast" in e.prompt for e in found) < 200
    assert any(stream._read_company(random.Random(number), 2, 0.0).gold for number in range(20))


def batches_of(stream, tokenizer) -> Batches:
    return Batches(stream, tokenizer, RECIPE.batch, RECIPE.rest_share, RECIPE.seed)


def test_batches_count_every_token_of_the_answer(stream, tokenizer):
    batches = batches_of(stream, tokenizer)
    batch = next(batches.from_step(0, workers=0))
    rows = [batches.encode(stream.example(number)) for number in range(RECIPE.batch * POOL)]
    wanted = {tuple(row.ids): row.start for row in rows}
    for row, marks in zip(batch.ids.tolist(), batch.counted.tolist(), strict=True):
        tokens = tuple(token for token in row if token != tokenizer.pad_token_id)
        start = wanted[tokens]
        assert all(marks[start : len(tokens)]) and not any(marks[len(tokens) :]) and not marks[0]
        assert sum(marks[:start]) < start
        assert tokenizer.decode(tokens[start - 1 : start]) == "<|assistant|>" and tokenizer.decode(tokens[-1:]) == "<|end|>"


def test_the_chat_template_renders_what_was_trained(stream, tokenizer):
    batches = batches_of(stream, tokenizer)
    for number in range(100):
        example = stream.example(number)
        messages = [{"role": "system", "content": example.system}] if example.system else []
        messages += [{"role": "user", "content": example.prompt}, {"role": "assistant", "content": example.answer}]
        assert tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"] == batches.encode(example).ids


def test_the_head_is_told_to_look_at_the_passage_that_answers(stream, tokenizer):
    batches, answers = batches_of(stream, tokenizer), 0
    for number in range(100_000, 100_300):
        example = stream.example(number)
        encoded = batches.encode(example)
        written = [(tokenizer.decode([encoded.ids[place + 1]]), end) for place, end in encoded.choices]
        if example.gold:
            assert [text for text, _ in written] == [f"[{n}]" for n in example.gold]
            assert all(tokenizer.decode([encoded.ids[end]]) == text and end in [last for _, last in encoded.spans] for text, end in written)
            answers += 1
        elif example.shown:
            assert encoded.choices == [(encoded.start - 1, BEGINNING)]
        else:
            assert encoded.choices == []
    assert answers > 50


def test_meanings_are_held_at_the_end_of_each_text(stream, tokenizer):
    example = next(e for e in map(stream.example, range(100_000, 101_000)) if e.task == "read" and len(e.shown) == 3)
    told = replace(example, asked=7, shown=(11, 12, 13))
    batches = batches_of(stream, tokenizer)
    encoded = batches.encode(told)
    question = tokenizer.encode(told.prompt.rpartition("\n\n")[2])
    assert encoded.ids[encoded.meanings[0][0]] == question[-1]
    assert [row for _, row in encoded.meanings] == [7, 7, 11, 12, 13]
    assert [place for place, _ in encoded.meanings[2:]] == [last for _, last in encoded.spans]


def test_the_extra_losses_see_the_attention_that_the_model_computes(stream, tokenizer):
    recipe = Recipe(hidden=32, layers=3, heads=2, vocabulary=900, embedder_start=False)
    model = build_model(recipe, tokenizer).eval()
    batches = batches_of(stream, tokenizer)
    encoded = next(e for e in (batches.encode(stream.example(number)) for number in range(100_000, 101_000)) if len(e.spans) == 3 and e.choices)
    batch = batches._padded([encoded], 0)
    with torch.no_grad():
        _, _, for_likeness, for_choice = Trunk(model.model)(batch.ids)
        choosing = choice_scores(model, for_choice, batch.choices).softmax(-1)
        liking = likeness_scores(model, for_likeness).softmax(-1)
        attentions = model(input_ids=batch.ids, output_attentions=True).attentions
    assert torch.allclose(choosing[0], attentions[2][0, CHOOSING_HEAD, encoded.choices[0][0]], atol=1e-5)
    assert torch.allclose(liking[0], attentions[1][0, LIKENESS_HEAD], atol=1e-5)
    assert not torch.allclose(liking[0], attentions[1][0, 1 - LIKENESS_HEAD], atol=1e-2)


def test_the_question_is_told_to_look_into_the_passage_that_answers(stream, tokenizer):
    batches, seen = batches_of(stream, tokenizer), 0
    for number in range(100_000, 100_200):
        example = stream.example(number)
        encoded = batches.encode(example)
        assert tokenizer.decode(encoded.ids[encoded.asked : encoded.start - 2]) == example.prompt.rpartition("\n\n")[2]
        texts = [tokenizer.decode(encoded.ids[first : last + 1]) for first, last in encoded.spans]
        assert all(text.startswith(f"[{n}] ") and text.endswith(f" [{n}]") for n, text in enumerate(texts, 1))
        batch = batches._padded([encoded], 0)
        assert batch.asking.any() == bool(example.gold)
        if example.gold:
            assert tokenizer.decode(batch.ids[0][batch.answering[0]]).startswith(f"[{min(example.gold)}] ")
            seen += 1
    assert seen > 50


def test_the_extra_losses_reach_the_layers_below(stream, tokenizer):
    recipe = Recipe(hidden=32, layers=3, heads=2, vocabulary=900, embedder_start=False)
    model, to_meaning = build_model(recipe, tokenizer), torch.nn.Linear(32, WIDTH)
    examples = [replace(e, asked=n, shown=tuple(range(len(e.shown)))) for n, e in enumerate(map(stream.example, range(100_000, 100_008)))]
    batches = batches_of(stream, tokenizer)
    batch = batches._padded([batches.encode(e) for e in examples], 0)
    table = torch.nn.functional.normalize(torch.randn(8, WIDTH), dim=-1)
    losses = losses_of(Trunk(model.model), model, to_meaning, batch, table, table[::4])
    losses.choice.backward(retain_graph=True)
    assert model.model.layers[2].self_attn.k_proj.weight.grad.abs().sum() > 0 and model.model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    losses.meaning.backward(retain_graph=True)
    assert losses.likeness > 0
    assert to_meaning.weight.grad.abs().sum() > 0


def test_meanings_are_kept_between_runs(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Meanings, "_embedded", lambda self, texts: asked.append(texts) or torch.eye(WIDTH)[: len(texts)].numpy())
    for _ in range(2):
        meanings = Meanings(tmp_path)
        assert (meanings.add(["a", "b"]), meanings.add(["c"])) == (0, 2)
        assert meanings.table().shape == (3, WIDTH) and meanings.rows(2, 3)[0, 0] == 1
    assert asked == [["a", "b"], ["c"]]


def run(folder, monkeypatch, stream, tokenizer, killed_at: int | None = None, hours: float = 1.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "prose.txt").write_text("\n".join(PROSE), encoding="utf-8")
    save(tokenizer, folder)
    with monkeypatch.context() as patched:
        patched.setattr(stream_module, "load", lambda *arguments, **settings: (stream, stream))
        patched.setattr(train_module, "exact_shares", lambda *arguments: {})
        if killed_at is not None:
            patched.setattr(train_module, "losses_of", killed(train_module.losses_of, killed_at))
        train_module.train(RECIPE, folder, hours=hours, threads=torch.get_num_threads(), device="cpu", compiled=False, patience=1, workers=0)


def killed(losses_of, at: int):
    steps = itertools.count()

    def losses_or_die(*arguments):
        if next(steps) == at:
            raise KeyboardInterrupt
        return losses_of(*arguments)

    return losses_or_die


def test_a_killed_run_resumes_with_the_same_losses(tmp_path, monkeypatch, stream, tokenizer):
    whole, cut = tmp_path / "a" / "whole", tmp_path / "b" / "cut"
    run(whole, monkeypatch, stream, tokenizer)
    with pytest.raises(KeyboardInterrupt):
        run(cut, monkeypatch, stream, tokenizer, killed_at=17)
    run(cut, monkeypatch, stream, tokenizer)

    def log(folder):
        rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        return [(row["step"], row["tokens"], row["language"], row["rate"]) for row in rows]

    assert len(log(whole)) >= 2 and log(cut) == log(whole)
    assert log(whole)[-1][2] < log(whole)[0][2]
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole, cut)]
    assert states[0]["step"] == states[1]["step"] and states[0]["tokens"] >= RECIPE.million_tokens * 1e6
    assert all(torch.equal(states[0]["model"][name], states[1]["model"][name]) for name in states[0]["model"])
    assert json.loads((whole / "recipe.json").read_text())["hidden"] == 32


def test_a_run_whose_time_is_over_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, stream, tokenizer):
    """It ends within a pool of batches and within a row of the log, and all losses count, those of the meanings, too."""
    table = np.random.default_rng(0).normal(size=(40, WIDTH)).astype(np.float16)
    monkeypatch.setattr(Meanings, "table", lambda self: table)
    example = stream.example
    monkeypatch.setattr(stream, "example", lambda number: replace(example(number), asked=number % 40))
    whole, cut = tmp_path / "a" / "whole", tmp_path / "b" / "cut"
    run(whole, monkeypatch, stream, tokenizer)
    with monkeypatch.context() as patched:
        clock = itertools.count()
        patched.setattr(train_module, "time", SimpleNamespace(time=lambda: next(clock)))
        run(cut, monkeypatch, stream, tokenizer, hours=17.5 / 3600)
    step = torch.load(cut / "checkpoint.pt", weights_only=True)["step"]
    assert 0 < step % train_module.POOL and step < train_module.POOL * 2
    run(cut, monkeypatch, stream, tokenizer)
    logs = [[{**json.loads(line), "speed": 0} for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()] for folder in (whole, cut)]
    assert logs[0] == logs[1] and len(logs[0]) >= 2 and logs[0][0]["meaning"] > 0
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole, cut)]
    assert all(torch.equal(states[0][part][name], states[1][part][name]) for part in ("model", "to_meaning") for name in states[0][part])


def begin(folder, monkeypatch, stream, tokenizer, seed=0):
    """A run whose time is over before its first step."""
    monkeypatch.setattr(stream_module, "load", lambda *arguments, **settings: (stream, stream))
    folder.mkdir()
    (folder.parent / "prose.txt").write_text("\n".join(PROSE), encoding="utf-8")
    save(tokenizer, folder)
    recipe = replace(RECIPE, seed=seed)
    train_module.train(recipe, folder, hours=0.0, threads=torch.get_num_threads(), device="cpu", compiled=False, patience=1, workers=0)
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def test_time_that_is_over_ends_the_run_with_a_checkpoint(tmp_path, monkeypatch, stream, tokenizer):
    assert begin(tmp_path / "run", monkeypatch, stream, tokenizer)["step"] == 0


def test_another_recipe_is_refused_and_named(tmp_path, monkeypatch, stream, tokenizer):
    begin(tmp_path / "run", monkeypatch, stream, tokenizer)
    with pytest.raises(ValueError, match="begun with another learning_rate"):
        train_module.refuse_another(replace(RECIPE, learning_rate=1.0), tmp_path / "run")


def test_two_stages_are_shipped_as_the_mean_of_their_weights(tmp_path, monkeypatch, stream, tokenizer):
    folders = [tmp_path / "first", tmp_path / "second"]
    stages = [begin(folder, monkeypatch, stream, tokenizer, seed)["model"] for seed, folder in enumerate(folders)]
    for folder in folders:
        (folder / "log.jsonl").write_text('{"step": 1}\n', encoding="utf-8")
    digest = export(folders, tmp_path / "shipped")
    shipped = LlamaForCausalLM.from_pretrained(tmp_path / "shipped", dtype=torch.float32).state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(stages[0][name], stages[1][name])
    assert torch.allclose(shipped[name], (stages[0][name] + stages[1][name]) / 2, atol=1e-3)
    monkeypatch.delenv("COURSE_LLM", raising=False)
    assert check.base_model(tmp_path / "shipped").found.startswith(f"SHA-256 {digest[:12]}")
    assert "  tokenizer.json\n" in (tmp_path / "shipped" / "sha256.txt").read_text(encoding="utf-8")
    assert [row["stage"] for row in read_lines(tmp_path / "shipped" / "training_log.jsonl")] == ["first", "second"]


def test_a_stage_is_shipped_as_the_mean_with_the_model_that_it_began_with(tmp_path, monkeypatch, stream, tokenizer):
    begun, stage = tmp_path / "begun", tmp_path / "stage"
    start = build_model(replace(RECIPE, seed=1, embedder_start=False), tokenizer)
    start.save_pretrained(begun)
    (begun / "training_log.jsonl").write_text('{"stage": 1, "step": 1}\n', encoding="utf-8")
    trained = begin(stage, monkeypatch, stream, tokenizer)["model"]
    (stage / "log.jsonl").write_text('{"step": 1}\n', encoding="utf-8")
    export([begun, stage], tmp_path / "shipped")
    shipped = LlamaForCausalLM.from_pretrained(tmp_path / "shipped", dtype=torch.float32).state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    assert torch.allclose(shipped[name], (start.state_dict()[name] + trained[name]) / 2, atol=1e-3)
    assert [row["stage"] for row in read_lines(tmp_path / "shipped" / "training_log.jsonl")] == [1, "stage"]
