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

MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


@cache
def words(name: str) -> tuple[str, ...]:
    """Return the lines of ``data/pretraining/words/<name>.txt``."""
    return tuple((WORDS / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1])


def invented_name(rng: random.Random) -> str:
    """Return a capitalised word that exists nowhere, such as ``Belvin``."""
    return "".join(rng.choice(words("syllables")) for _ in range(rng.choice((2, 2, 2, 3)))).capitalize()


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


def _number(rng: random.Random) -> str:
    return str(rng.randint(2, 60)) if rng.random() < 0.7 else rng.choice(words("numbers")[1:])


def _money(rng: random.Random) -> str:
    amount = rng.choice((rng.randint(1, 30), rng.randint(5, 300), rng.randint(1, 40) * 5))
    cents = rng.choice(("", "", f".{rng.randint(0, 99):02d}", ".50", ".90"))
    return rng.choice((f"${amount}{cents}", f"{amount}{cents} euros", f"{amount}{cents} pounds", f"EUR {amount}{cents}", f"${amount}{cents}"))


def _time(rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice(("00", "15", "30", "45"))
    half = rng.choice(("am", "pm"))
    return rng.choice((f"{hour}:{minute} {half}", f"{hour} {half}", f"{hour + 12 * (hour < 12)}:{minute}", rng.choice(("noon", "midnight", f"{hour} o'clock"))))


def _duration(rng: random.Random) -> str:
    unit = rng.choice(("minutes", "hours", "days", "working days", "weeks", "months", "years"))
    return f"{_number(rng)} {unit}"


def _measure(*units: str):
    def value(rng: random.Random) -> str:
        number = rng.choice((str(rng.randint(2, 90)), f"{rng.randint(0, 20)}.{rng.randint(1, 9)}", rng.choice(words("numbers")[1:12])))
        return f"{number} {rng.choice(units)}"

    return value


def _place(rng: random.Random) -> str:
    return invented_name(rng) + rng.choice(("", "", " Street", " Square", " Harbour", " Bridge", " Hall", " Road"))


def _address(rng: random.Random) -> str:
    return f"{rng.randint(1, 220)} {invented_name(rng)} {rng.choice(('Street', 'Road', 'Lane', 'Avenue'))}, {invented_name(rng)}"


def _mailbox(rng: random.Random) -> str:
    box = rng.choice(("help", "returns", "claims", "billing", "hello", "orders", "team", "care", rng.choice(words("things"))))
    return f"{box}@{invented_name(rng).lower()}.{rng.choice(('com', 'org', 'net', 'example'))}"


def _web(rng: random.Random) -> str:
    return f"{invented_name(rng).lower()}.{rng.choice(('com', 'org', 'example'))}/{rng.choice(words('things'))}"


def _phone(rng: random.Random) -> str:
    return f"0{rng.randint(100, 999)} {rng.randint(100, 999)} {rng.randint(100, 999)}"


def _code(rng: random.Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVXZ") for _ in range(rng.choice((1, 2, 2, 3))))
    return f"{letters}{rng.choice(('-', '', ' '))}{rng.randint(10, 9999)}"


def _menu(rng: random.Random) -> str:
    return " > ".join(rng.sample(words("menu"), rng.choice((2, 2, 3))))


_DRAW = {
    "n": _number,
    "big": lambda rng: rng.choice((str(rng.randint(100, 9500)), str(rng.randint(1, 95) * 100), f"{rng.randint(1, 9)},{rng.randint(0, 999):03d}")),
    "dec": lambda rng: f"{rng.randint(0, 20)}.{rng.randint(1, 9)}",
    "money": _money,
    "pct": lambda rng: f"{rng.randint(1, 95)}{rng.choice((' %', '%', ' percent'))}",
    "time": _time,
    "date": lambda rng: rng.choice((f"{rng.randint(1, 28)} {rng.choice(MONTHS)}", f"{rng.choice(MONTHS)} {rng.randint(1, 28)}")),
    "year": lambda rng: str(rng.randint(1990, 2035)),
    "weekday": lambda rng: rng.choice(WEEKDAYS),
    "month": lambda rng: rng.choice(MONTHS),
    "dur": _duration,
    "length": _measure("cm", "metres", "mm", "inches", "km", "feet"),
    "weight": _measure("kg", "grams", "pounds", "ounces"),
    "volume": _measure("litres", "ml", "cups", "gallons"),
    "temp": lambda rng: f"{rng.randint(-20, 95)} {rng.choice(('degrees', 'C', 'degrees C', 'F'))}",
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
