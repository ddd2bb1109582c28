"""What domains may be called: each by itself, and beside others.

Names go in and come out, or an error says what is allowed: a name is a column's value, an option's and in the end a
folder's. It knows no rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from finsa_moe.errors import ConfigError, DataError

ALL = "all"
"""What tables call the rows of all domains together."""
_NAME = re.compile(r"[\w-]{1,64}")


def check_domain(name: str) -> str:
    """The name itself, when models can be trained for it.

    Raises:
        ConfigError: If it holds anything but letters, digits, ``_`` and ``-``, or is over 64 characters.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"domain {name!r}: allowed are 1 to 64 letters, digits, '-' and '_', as in news or forum")
    return name


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
