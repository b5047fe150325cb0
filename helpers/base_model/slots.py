"""Random values for the slots of the pre-training texts.

``{money}`` becomes a price, ``{menu}`` a path through an app, and so on. Values
are drawn anew for every example, so the only way to a right answer is to read it.
"""

import random
import re
from functools import cache

from helpers.paths import PRETRAINING

WORDS = PRETRAINING / "words"
SLOT = re.compile(r"{([a-z]+)(\d*)}")
ODD_SLOTS = ("n", "money", "name", "colour", "time", "thing", "place", "email", "dur", "person", "code", "menu", "pct", "weekday")

MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


@cache
def words(name: str) -> tuple[str, ...]:
    """Return the lines of ``data/pretraining/words/<name>.txt``."""
    return tuple((WORDS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1])


def invented_name(rng: random.Random) -> str:
    """Return a name that exists nowhere, such as ``Belvin``, ``Lampherd``, ``QuietHarbour`` or ``Gold-Fern``.

    Whatever the tokenizer cuts them into must be copied, so the pieces are many.
    """
    kind = rng.random()
    if kind < 0.65:
        return "".join(rng.choice(words("syllables")) for _ in range(rng.choice((2, 2, 2, 3)))).capitalize()
    first, second = rng.sample(words("things"), 2)
    if kind < 0.8:
        return splice(first, second, rng).capitalize()
    return rng.choice(("", "", " ", "-")).join((first.capitalize(), second.capitalize()))


def splice(first: str, second: str, rng: random.Random) -> str:
    """Return the beginning of one word with the end of another."""
    return first[: rng.randint(2, max(2, len(first) - 1))] + second[-rng.randint(2, max(2, len(second) - 1)) :]


def _plain_name(rng: random.Random) -> str:
    """Return an invented name for addresses on the net: small letters a to z."""
    name = "".join(letter for letter in invented_name(rng).lower() if "a" <= letter <= "z")
    return name or "office"


def draw(kind: str, rng: random.Random) -> str:
    """Return a random value for the slot ``kind``.

    Raises:
        KeyError: the slot is not known.
    """
    return _DRAW[kind](rng)


def fill(text: str, values: dict[str, str], rng: random.Random) -> str:
    """Replace the slots in ``text``; ``values`` is read, and extended by new draws."""

    def value(match: re.Match[str]) -> str:
        slot = match.group(0)
        if slot not in values:
            values[slot] = draw(match.group(1), rng)
        return values[slot]

    return SLOT.sub(value, text)


def with_odd_slots(text: str, rng: random.Random) -> str:
    """Return ``text`` with slots of any kind in place of half of its slots.

    "The desk closes at Mrs. Hall" makes no sense, and still answers when the desk closes:
    what a passage states is what counts, however unlikely.
    """

    def odd(slot: re.Match[str]) -> str:
        return slot[0] if slot[1] == "company" or rng.random() >= 0.5 else f"{{{rng.choice(ODD_SLOTS)}}}"

    return SLOT.sub(odd, text)


def value_like(value: str, rng: random.Random) -> str:
    """Return another value of the kind of ``value``, as far as its words show one.

    Digits and number words become others; so do prices, colours, days, months, streets, menu
    paths and addresses on the net. What is none of these becomes an invented name.
    """
    shape = next((shape for shape in _SHAPES if re.search(shape, value, re.IGNORECASE)), r"^.*$")
    changed = value
    while changed == value:
        changed = re.sub(shape, lambda _: draw(_SHAPES.get(shape, "name"), rng), value, flags=re.IGNORECASE)
    return changed


def _number(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.7:
        return str(rng.randint(2, 60))
    if kind < 0.88:
        return rng.choice(words("numbers")[1:])
    return f"{rng.choice(('twenty', 'thirty', 'forty', 'fifty', 'sixty', 'eighty'))}-{rng.choice(words('numbers')[:9])}"


MONEY = ("${}", "${}", "${}", "£{}", "£{}", "€{}", "€{}", "{} €", "{} euros", "{} pounds", "{} dollars", "EUR {}", "CHF {}", "{} kr", "{} zł", "A${}", "¥{}")


def _money(rng: random.Random) -> str:
    amount = rng.choice((rng.randint(1, 30), rng.randint(5, 300), rng.randint(1, 40) * 5, rng.choice((rng.randint(300, 4000), f"{rng.randint(1, 9)},{rng.randint(0, 999):03d}"))))
    cents = rng.choice(("", "", f".{rng.randint(0, 99):02d}", ".50", ".90"))
    return rng.choice(MONEY).format(f"{amount}{cents}")


def _time(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice(("00", "15", "30", "45"))
    half = rng.choice(("am", "pm"))
    word = words("numbers")[hour - 1]
    spoken = rng.choice(("noon", "midnight", f"{hour} o'clock", f"{word} o'clock", f"half past {word}", f"quarter to {word}", f"ten past {word}"))
    written = rng.choice((f"{hour}.{minute} {half}", f"{hour} {half[0]}.m.", f"{hour + 12 * (hour < 12)}.{minute}"))
    return rng.choice((f"{hour}:{minute} {half}", f"{hour} {half}", f"{hour + 12 * (hour < 12)}:{minute}", spoken, written))


def _duration(rng: random.Random) -> str:
    unit = rng.choice(("minutes", "hours", "days", "working days", "weeks", "months", "years"))
    if rng.random() < 0.06:
        return rng.choice(("half an hour", "an hour", "an hour and a half", "two and a half hours", "a day", "a week", "a fortnight", "a month", "half a year", "a year", "a quarter of an hour"))
    return f"{_number(rng)} {unit}"


def _measure(*units: str):
    def value(rng: random.Random) -> str:
        number = rng.choice((str(rng.randint(2, 90)), f"{rng.randint(0, 20)}.{rng.randint(1, 9)}", rng.choice(words("numbers")[1:12])))
        return f"{number} {rng.choice(units)}"

    return value


def _place(rng: random.Random) -> str:
    return invented_name(rng) + rng.choice(("", "", " Street", " Square", " Harbour", " Bridge", " Hall", " Road"))


def _address(rng: random.Random) -> str:
    street = f"{invented_name(rng)} {rng.choice(('Street', 'Road', 'Lane', 'Avenue', 'Way', 'Hill', 'Quay', 'Row'))}"
    number = f"{rng.randint(1, 220)}{rng.choice(('', '', '', '', 'a', 'B'))}"
    return rng.choice((f"{number} {street}, {invented_name(rng)}", f"{number} {street}", f"{street} {number}", f"Unit {number}, {street}"))


def _mailbox(rng: random.Random) -> str:
    box = rng.choice(("help", "returns", "claims", "billing", "hello", "orders", "team", "care", rng.choice(words("things"))))
    return f"{box}@{_plain_name(rng)}.{rng.choice(('com', 'org', 'net', 'example'))}"


def _web(rng: random.Random) -> str:
    return f"{_plain_name(rng)}.{rng.choice(('com', 'org', 'example'))}/{rng.choice(words('things'))}"


def _phone(rng: random.Random) -> str:
    first, second, third = (rng.randint(100, 999) for _ in range(3))
    return rng.choice((f"0{first} {second} {third}", f"0{first} {second} {third}", f"+{first % 90 + 10} {second} {third}0", f"(0{first}) {second}{third}", f"{first}-{second}-{third}4"))


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVXZ") for _ in range(rng.choice((1, 2, 2, 3))))
    return f"{letters}{rng.choice(('-', '', ' '))}{rng.randint(10, 9999)}"


def _menu(rng: random.Random) -> str:
    return " > ".join(rng.sample(words("menu"), rng.choice((2, 2, 3))))


_DRAW = {
    "digit": lambda rng: str(rng.randint(1, 9)),
    "n": _number,
    "big": lambda rng: rng.choice((str(rng.randint(100, 9500)), str(rng.randint(1, 95) * 100), f"{rng.randint(1, 9)},{rng.randint(0, 999):03d}")),
    "dec": lambda rng: f"{rng.randint(0, 20)}.{rng.randint(1, 9)}",
    "money": _money,
    "pct": lambda rng: f"{rng.randint(1, 95)}{rng.choice((' %', '%', ' percent'))}",
    "time": _time,
    "date": lambda rng: rng.choice((f"{rng.randint(1, 31)} {rng.choice(MONTHS)}", f"{rng.choice(MONTHS)} {rng.randint(1, 31)}", f"the {rng.randint(4, 20)}th of {rng.choice(MONTHS)}")),
    "year": lambda rng: str(rng.randint(1990, 2035)),
    "weekday": lambda rng: rng.choice(WEEKDAYS),
    "month": lambda rng: rng.choice(MONTHS),
    "dur": _duration,
    "length": _measure("cm", "metres", "mm", "inches", "km", "feet"),
    "weight": _measure("kg", "grams", "pounds", "ounces"),
    "volume": _measure("litres", "ml", "cups", "gallons"),
    "temp": lambda rng: f"{rng.randint(-20, 95)} {rng.choice(('degrees', 'C', 'degrees C', 'F', '°C'))}",
    "name": invented_name,
    "person": lambda rng: rng.choice((rng.choice(words("people")), f"{rng.choice(words('people'))} {rng.choice(words('surnames'))}")),
    "place": _place,
    "address": _address,
    "email": _mailbox,
    "phone": _phone,
    "web": _web,
    "code": _code,
    "colour": lambda rng: rng.choice(words("colours")),
    "material": lambda rng: rng.choice(words("materials")),
    "menu": _menu,
    "button": lambda rng: rng.choice(words("buttons")),
    "thing": lambda rng: rng.choice(words("things")),
    "company": invented_name,
}

NUMBER_WORD = rf"\b(?:{'|'.join(words('numbers'))})\b"

# What a value looks like, and the slot that holds such values.
_SHAPES = {
    r"\d": "digit",
    r"^.*>.*$": "menu",
    r"\S+@\S+": "email",
    NUMBER_WORD: "n",
    rf"\b(?:{'|'.join(WEEKDAYS)})\b": "weekday",
    rf"\b(?:{'|'.join(MONTHS)})\b": "month",
    rf"^(?:{'|'.join(words('colours'))})$": "colour",
    r"^\w+ (?:Street|Road|Square)$": "place",
    r"^(?:free(?: of charge)?|half price)$": "money",
}
