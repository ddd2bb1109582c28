"""The one name that no domain among others may bear: that of all of them together.

Names go in, an error comes out or nothing. It knows no rows.
"""

from __future__ import annotations

from collections.abc import Iterable

from finsa_moe.errors import DataError

ALL = "all"
"""What tables call the rows of all domains together."""


def check_apart(domains: Iterable[object]) -> None:
    """Refuse a domain called `ALL` beside others: what is counted of it and of all of them would be one line.

    Raises:
        DataError: Naming the others.
    """
    others = set(domains)
    if ALL in others and len(others) > 1:
        names = ", ".join(sorted(str(name) for name in others - {ALL}))
        raise DataError(
            f"domain {ALL!r} beside {names}: is what all domains together are called; name the domain otherwise"
        )
