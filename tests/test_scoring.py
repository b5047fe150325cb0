"""Each score counts what its name says, shown on replies written for the purpose."""

import numpy as np
import pytest
from fixtures import passage, reply
from scipy.stats import binomtest

from helpers.paths import HELP_CENTER
from helpers.scenarios import Fact, Ticket, load_facts
from helpers.scoring import (
    abstains,
    citation_precision,
    citation_recall,
    difference,
    escalation_right,
    estimate,
    fact_right,
    fact_stale,
    mcnemar,
    resolved,
    value_present,
    voice_checks,
    voice_right,
)
from helpers.tuning import load_conversations

FACTS = load_facts()
WARRANTY, RETURN_COST, FREE_FROM = FACTS["warranty-length"], FACTS["return-cost"], FACTS["free-threshold"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("$4.50", "A parcel costs $4.50."),
        ("cannot come back", "Opened pods can't come back."),
        ("not covered", "It isn't covered."),
        ("free", "It's not a problem: it is free."),
        ("1.8 metres", "It has a 1.8-metre cable."),
        ("9 watts", "It's a 9-watt lamp."),
        ("$11 a month", "That's the $11-a-month plan."),
        ("2.4 GHz", "It needs 2.4GHz."),
        ("18 to 28 degrees", "It likes 18\u201328 degrees."),
        ("a third", "You save one third."),
        ("App > Garden > Away", "Tap **App** > **Garden** > **Away**."),
        ("$4.50", "A parcel costs $4.5!"),
        ("$4.50", "A parcel costs 4.50 dollars."),
        ("$60", "From $60.00 on."),
        ("$1,200", "It is $1200."),
        ("free", "A return is free."),
        ("free", "Feel free to send it: the label is free."),
        ("free of charge", "It's Free of Charge, postage included."),
        ("three years", "THREE YEARS from the day of delivery"),
        ("three years", "It is valid for 3 years."),
        ("20 percent", "Students take 20% off."),
        ("three years", "It has a three-year warranty."),
        ("3 years", "It has a three-year warranty."),
        ("three years", "A 3-year warranty, in writing."),
        ("one year", "A 1-year warranty."),
        ("1-year", "It is one year."),
        ("60 days", "There is a 60-day window, or a sixty-day one."),
        ("60-day", "You have sixty days."),
        ("15 minutes", "It's a 15-minute job."),
        ("forty-five minutes", "A 45-minute cycle"),
        ("1.5 hours", "A 1.5-hour soak."),
        ("4 pm", "Order by 4pm or 4:00 p.m. at the latest."),
        ("8 am to 8 pm", "We're here from 8 a.m. to 8 p.m. on weekdays."),
        ("8 a.m. to 8 p.m.", "From 8 am to 8:00pm."),
        ("App > Garden > Away", "Open App>Garden>Away today."),
        ("App > Garden > Away", "It's under App \u2192 Garden \u2192 Away."),
        ("care@fernhollow.example", "Write to care@fernhollow.example."),
        ("1.8 metres", "The cable is 1.8\u00a0metres."),
        ("14 watts", "(14 watts)"),
        ("4 to 8 days", "They sprout in 4-8 days."),
        ("8 am to 8 pm", "We're there 8am-8pm."),
        ("555-0192", "Call 555-0192."),
    ],
)
def test_value_is_found(value, text):
    assert value_present(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("$4.50", "A parcel costs $14.50, or $4.505, or $4.05."),
        ("$4", "A parcel costs $4.50."),
        ("$40", "It is $400 or $40,000."),
        ("free", "Feel free to write back."),
        ("free", "It's not for free, and it isn't entirely free."),
        ("free", "Print it when you have a free minute."),
        ("free", "It's not free, and it isn't free on islands."),
        ("free", "You're free to choose the box."),
        ("free", "Returns are no longer free."),
        ("free of charge", "It is no longer free of charge."),
        ("free", "Use a peat-free pod, hands-free, on a free-standing shelf, freely."),
        ("three years", "Twenty-three years, or twenty three years."),
        ("three years", "Three and a half years."),
        ("three years", "A twenty-three-year warranty."),
        ("three years", "A three-year-old plant."),
        ("three years", "A three-month warranty."),
        ("5 minutes", "A 1.5-minute job, or a 3-5-minute one."),
        ("two hours", "12 hours"),
        ("8 days", "18 days"),
        ("App > Garden > Away", "Open App > Garden > Away > Report."),
        ("App > Garden", "Open App > Garden > Away."),
        ("care@fernhollow.example", "Write to daycare@fernhollow.example."),
        ("1.8 metres", "21.8 metres"),
        ("KT4", "KT45"),
        ("blue", "A blue-green light, or blueish."),
    ],
)
def test_value_is_not_found(value, text):
    assert not value_present(value, text)


@pytest.mark.parametrize(
    ("fact", "text", "right", "stale"),
    [
        (WARRANTY, "It's three years.", True, False),
        (WARRANTY, "It's two years.", False, True),
        (WARRANTY, "It was two years and is three years now.", False, True),
        (WARRANTY, "Happy to help!", False, False),
        (RETURN_COST, "It's free with our label.", True, False),
        (RETURN_COST, "It costs $12. Feel free to write back.", False, True),
        (RETURN_COST, "Feel free to write back.", False, False),
        (FACTS["orchard-weight"], "It weighs 31 kilos.", True, False),
        (FACTS["orchard-price"], "It's $495.", True, False),
        (FACTS["lid-engraving"], "It adds $14.", False, False),
    ],
)
def test_facts_are_right_stale_or_absent(fact, text, right, stale):
    assert (fact_right(fact, text), fact_stale(fact, text)) == (right, stale)


GOLD = passage("warranty", "Every garden comes with a warranty of three years.")
SAME_ARTICLE = passage("warranty", "It includes the pump.")
OTHER_ARTICLE = passage("gifts", "A card is valid for three years.")


@pytest.mark.parametrize(
    ("text", "precision", "recall"),
    [
        ("Three years. [1]", 1.0, 1.0),
        ("Three years. [1] Truly. [2]", 0.5, 1.0),
        ("Three years. [2]", 0.0, 0.0),
        ("Three years. [3]", 0.0, 0.0),
        ("Three years.", None, 0.0),
        ("I don't know. [1]", None, 0.0),
    ],
)
def test_a_citation_counts_if_its_passage_holds_the_value(text, precision, recall):
    answer = reply(text, GOLD, SAME_ARTICLE, OTHER_ARTICLE)
    assert citation_precision(answer, [WARRANTY]) == precision
    assert citation_recall(answer, [WARRANTY]) == recall


def test_citation_recall_counts_each_fact_of_the_ticket():
    answer = reply("Three years. [1]", GOLD, passage("returns", "It is free."))
    assert citation_recall(answer, [WARRANTY, RETURN_COST]) == 0.5
    assert citation_precision(answer, [WARRANTY, RETURN_COST]) == 1.0
    assert citation_recall(answer, []) == 0.0


GOOD_VOICE = [
    "I'm sorry you didn't get your parcel. It's on its way again. Call us from 8 a.m. to 8 p.m. if it isn't there by Friday.",
    "I'm sorry about that. None of this is your fault, and it's easily mended. Then restart the garden.",
    "Absolutely, that's possible. In case you forgot the password, there's a link below it. Would you like us to send it?",
    "Happy to help! It's a two-minute job to clean the pump. Have a go with warm water, and write back if it still hums.",
    "I'm sorry about the puddle. The tank lid can look shut when it isn't quite. Press both corners until they click, and tell us if it leaks again.",
    "That's a nice idea, but we don't ship live plants. Pick a seed pod instead, and we'll help you get it growing.",
    "I'd rather not guess: our help pages don't say. Send us the model name and we'll find out for you.",
    "You've waited long enough, and I'm sorry. Your parcel's in the app under its order number. Have a look there, and write to us if it hasn't moved.",
    "I'm sorry you've had to write so often. I'm handing this to one of our specialists, who'll read the whole story first. You don't need to send anything again.\nescalate: specialist",
    "Good question! Sending it back is free with the label from your account. [2] Print it whenever you're ready, or tell us if there's no printer around.",
    "Thank you for telling us about this straight away. Our safety team takes over from here, so please leave the plug out, and they'll be in touch.\nescalate: safety",
    "Hello Mia, it's $4.50 for a standard parcel. If that doesn't suit you, choose the shop's own box at checkout.",
    "Of course, I understand. Somebody from our support team will read this next, and it's in their hands now.\nescalate: person",
    "Glad you asked! Every garden comes with a warranty of three years. [1] Keep the order number handy, and let us know if something's wrong.",
    "You're right, and I'm sorry. You didn't do anything wrong: the app was slow. When you're ready, please open it once more.",
    "I'm sorry about the flood, and that's not your fault. The lid can look shut. Press both corners, and tell us if it leaks again.",
    "I'm sorry it's wilted. It is never your fault, and it isn't your own mistake. Move the lamp up, and tell us how it goes.",
    "Happy to help! If you didn't get the mail, it's in the spam folder. Have a look there, and write back if it isn't.",
    "No problem! If you forgot the password, there's a link below the box. Tap it, and write back if you're stuck.",
    "Lovely choice! The Orchard's $495 with its stand. Just add it to your basket and we'll pack it with care.",
]

BAD_VOICE = [
    ("no blame", "I'm sorry about the puddle. You never closed the lid, so it's wet. Press both corners, please."),
    ("no blame", "I'm sorry about the pump. You shouldn't have opened it. Send us a photo."),
    ("warm opening", "The fee's $4.50 for a standard parcel. Write back if the total doesn't look right."),
    ("warm opening", "That's $12, which we take off your money. Tell us if it's not there."),
    ("warm opening", "Make sure that the tank's full. Have a look today, and tell us if it isn't."),
    ("warm opening", "It's three years. Thanks, and write back any time."),
    ("contractions", "Happy to help! The warranty of your garden is three years. Write back if the pump is still silent."),
    ("contractions", "Good question! Use your sister's label for the garden's box. [1] Tell us how it goes."),
    ("no blame", "Thanks for writing. You forgot to close the lid, so it's wet. Dry it, and tell us if it leaks."),
    ("no blame", "I'm sorry it's broken. You should have read the guide. Open it now, and write back."),
    ("no blame", "I'm sorry about that. It's your own fault, though. Try again, and tell us how it goes."),
    ("no blame", "I'm sorry it's broken. It's not only your fault, though. Try again, and tell us how it goes."),
    ("no blame", "Thanks for asking. You didn't charge it, so it's flat. Plug it in, and tell us how it goes."),
    ("no filler", "Thanks for asking. Please be advised that it's three years. Write back if you're unsure."),
    ("no filler", "I'm sorry it's late. We apologise for any inconvenience. Check the map, and tell us if it hasn't moved."),
    ("no filler", "Happy to help! As per our terms it's $60. Do not hesitate to write, and we'll look."),
    ("no filler", "I'm sorry. Unfortunately, we can't ship plants. Pick a pod, and we'll help you grow it."),
    ("next step", "Happy to help! It's three years from the day of delivery."),
    ("next step", "Thanks for asking. It's $15 on top. The order of the boxes is random and the plan isn't dear."),
    ("next step", "Thanks for asking, it's three years."),
    ("short and calm", "Great question!! It's three years! Tell us if the pump's broken!"),
    ("short and calm", "I'm sorry. It's REALLY only three years. Write back if it doesn't help."),
    ("short and calm", "Happy to help. It's three years. [1] Write back if you're stuck \U0001f600"),
    ("short and calm", "Thanks for asking. It's blue. It's big. It's new. It's ours. It's fun. It's yours. Tell us if you like it."),
]


@pytest.mark.parametrize("text", GOOD_VOICE)
def test_good_replies_pass_the_whole_rubric(text):
    assert voice_right(text), voice_checks(text)


@pytest.mark.parametrize(("check", "text"), BAD_VOICE)
def test_bad_replies_fail_exactly_one_check(check, text):
    assert [name for name, passed in voice_checks(text).items() if not passed] == [check]


def test_every_check_has_a_bad_reply_and_an_empty_reply_fails():
    assert {check for check, _ in BAD_VOICE} == set(voice_checks(""))
    assert not voice_right("")


def test_the_training_conversations_are_in_the_voice_that_is_measured():
    replies = [conversation[-1]["content"] for conversation in load_conversations()]
    out_of_voice = [text for text in replies if not voice_right(text)]
    assert len(out_of_voice) <= 0.05 * len(replies), out_of_voice


def test_no_sentence_of_the_help_center_spoils_a_good_reply_or_passes_alone():
    for edition in ("first", "current"):
        for fact in FACTS.values():
            sentence = getattr(fact, f"{edition}_sentence")
            if sentence:
                assert voice_right(f"Happy to help! {sentence} [1] Write back if it isn't clear."), sentence
                assert not voice_right(sentence)
    assert (HELP_CENTER / "first").is_dir()


def ticket(*facts: Fact, escalate: str | None = None, kind: str = "question") -> Ticket:
    return Ticket("t1", "a question", facts, escalate, kind)


def test_escalation_is_right_when_the_queue_is():
    hand_over, keep = reply("I'm passing this on.\nescalate: legal"), reply("Happy to help!")
    assert escalation_right(hand_over, ticket(escalate="legal"))
    assert not escalation_right(hand_over, ticket(escalate="safety"))
    assert not escalation_right(hand_over, ticket())
    assert escalation_right(keep, ticket())
    assert not escalation_right(keep, ticket(escalate="legal"))


@pytest.mark.parametrize(("text", "known"), [("I do not know.", False), ("Good question, but I don\u2019t know.", False), ("Our help pages don't say.", False), ("It is $5.", True)])
def test_abstaining_is_saying_so(text, known):
    assert abstains(reply(text)) != known


def test_a_passage_that_is_quoted_is_no_abstaining():
    shown = passage("contact", "The couriers don't know the hour in advance.")
    assert not abstains(reply("Happy to help! The couriers don\u2019t know  the hour in advance. [1]", shown))
    assert abstains(reply("The couriers don't know the hour in advance. [1] More I do not know.", shown))
    assert abstains(reply("The couriers don't know the hour in advance.")), "nobody showed it this sentence"
    assert abstains(reply("I do not know.", passage("contact", "No"), shown))


@pytest.mark.parametrize("text", ["Happy to help! It's $5 a month. If you don't know your order number, look in the app.", "In case you do not know: it's three years."])
def test_what_the_customer_may_not_know_is_no_abstaining(text):
    assert not abstains(reply(text))


@pytest.mark.parametrize("text", ["Our help pages do not say, so I'd rather not guess.", "I'd rather not guess: our help centre doesn't say.", "Our help pages don't mention it."])
def test_what_the_help_pages_do_not_say_is_not_known(text):
    assert abstains(reply(text))


def test_resolved_needs_facts_voice_and_escalation():
    good = "Happy to help! It's three years from delivery. Write back if the pump's silent."
    assert resolved(reply(good), ticket(WARRANTY))
    assert not resolved(reply(good.replace("three", "two")), ticket(WARRANTY))
    assert not resolved(reply("It is three years."), ticket(WARRANTY))
    assert not resolved(reply(f"{good}\nescalate: person"), ticket(WARRANTY))
    assert not resolved(reply(good), ticket(WARRANTY, RETURN_COST))
    unknown = "I'd rather not guess: our help pages don't say. Send us a photo and we'll find out."
    assert resolved(reply(unknown), ticket(kind="unanswerable"))
    assert not resolved(reply(good), ticket(kind="unanswerable"))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(50):
        found = estimate(rng.random(60) < 0.7, seed)
        covered += found.low <= 0.7 <= found.high
    assert 42 <= covered <= 50


def test_estimates_of_easy_samples():
    half_each = estimate([0.5, 0.5, 0.5])
    assert (half_each.value, half_each.low, half_each.high, half_each.n) == (0.5, 0.5, 0.5, 3)
    half = estimate([0, 1] * 50)
    assert half.value == 0.5 and 0.38 < half.low < 0.43 and 0.57 < half.high < 0.62
    assert estimate([0, 1] * 50) == half
    assert str(half).startswith("0.50 [0.")
    with pytest.raises(ValueError, match="No scores"):
        estimate([])


def test_a_score_without_an_exception_is_no_certainty():
    """The rule of three: after n of n the truth may still lie about 3 / n lower (one-sided; two-sided 3.7 / n)."""
    right, wrong = estimate([1.0] * 60), estimate([0.0] * 60)
    assert (right.value, right.high, wrong.value, wrong.low) == (1.0, 1.0, 0.0, 0.0)
    assert 0.93 < right.low < 0.95 and wrong.high == pytest.approx(1 - right.low)
    same = difference([1.0] * 60, [1.0] * 60)
    assert (same.value, same.low, same.high) == (0.0, -wrong.high, wrong.high)
    apart = difference([1.0] * 60, [0.0] * 60)
    assert (apart.value, apart.low, apart.high) == (1.0, right.low, 1.0)


def test_a_paired_difference_is_narrower_than_the_arms():
    rng = np.random.default_rng(1)
    first = (rng.random(100) < 0.5).astype(float)
    second = first.copy()
    second[:5] = 1 - second[:5]
    found = difference(first, second)
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.high - found.low < 0.5 * (estimate(first).high - estimate(first).low)


def test_mcnemar_is_the_exact_binomial_test_of_the_disagreements():
    first = [True] * 9 + [False] * 2 + [True] * 5 + [False] * 4
    second = [False] * 9 + [True] * 2 + [True] * 5 + [False] * 4
    assert mcnemar(first, second) == pytest.approx(binomtest(9, 11, 0.5).pvalue) == pytest.approx(2 * (1 + 11 + 55) / 2**11)
    assert mcnemar(second, first) == mcnemar(first, second)
    assert mcnemar(first, first) == 1.0
    with pytest.raises(ValueError):
        mcnemar([True], [True, False])
