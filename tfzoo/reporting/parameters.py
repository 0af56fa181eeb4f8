"""How many parameters a model has, as a formula in the numbers of users and items."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

TERMS = ("users²", "users·items", "items²", "users", "items", "")
# Large enough for options that are capped by the size of the data, such as neighbours or factors.
BASE = (230, 170)


def count_formula(count: Callable[[int, int], int], check: tuple[int, int]) -> str:
    """Return the formula of a count that grows at most with the square of the sizes.

    Args:
        count: from numbers of users and items to parameters.
        check: other sizes, for which the formula must be right too.

    Returns:
        Such as ``10·users + 10·items + 4,321``.

    Raises:
        ValueError: no such formula gives the count at ``check``.
    """
    users, items = BASE
    here = count(users, items)
    user1, user2 = count(users + 1, items) - here, count(users + 2, items) - here
    item1, item2 = count(users, items + 1) - here, count(users, items + 2) - here
    both = count(users + 1, items + 1) - here - user1 - item1
    user_square, item_square = Fraction(user2 - 2 * user1, 2), Fraction(item2 - 2 * item1, 2)
    user = user1 - user_square * (2 * users + 1) - both * items
    item = item1 - item_square * (2 * items + 1) - both * users
    rest = here - user_square * users**2 - item_square * items**2 - both * users * items
    factors = (
        user_square,
        Fraction(both),
        item_square,
        Fraction(user),
        Fraction(item),
        Fraction(rest - user * users - item * items),
    )
    if _value(factors, *check) != count(*check):
        raise ValueError(f"The parameters do not grow as {_text(factors)}.")
    return _text(factors)


def _value(factors: tuple[Fraction, ...], users: int, items: int) -> Fraction:
    values = (users**2, users * items, items**2, users, items, 1)
    return sum((factor * value for factor, value in zip(factors, values, strict=True)), Fraction(0))


def _text(factors: tuple[Fraction, ...]) -> str:
    text = ""
    for factor, term in zip(factors, TERMS, strict=True):
        if factor:
            size = f"{abs(int(factor)):,}" if factor.denominator == 1 else f"{abs(factor)}"
            written = term if term and abs(factor) == 1 else f"{size}·{term}" if term else size
            sign = " - " if factor < 0 else " + "
            text += (sign if text else sign.strip(" +")) + written
    return text or "0"
