"""What a domain may be called: its name is a column's value, an option's and in the end a folder's.

A name goes in and comes out, or an error says what is allowed. It knows no domain.
"""

from __future__ import annotations

import re

from finsa_moe.errors import ConfigError

DOMAIN_NAME = re.compile(r"[\w-]{1,64}")


def check_domain(name: str) -> str:
    """The name itself, when models can be trained for it.

    Raises:
        ConfigError: If it holds anything but letters, digits, ``_`` and ``-``, or is over 64 characters.
    """
    if not DOMAIN_NAME.fullmatch(name):
        raise ConfigError(f"domain {name!r}: allowed are 1 to 64 letters, digits, '-' and '_', as in news or forum")
    return name
