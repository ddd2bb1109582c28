"""Names of columns against a plain search through all names so far, and in bounded time."""

from __future__ import annotations

import random
import time

from finsa_moe.data.reading.rows import unique_names


def searched(names: list[str]) -> list[str]:
    """Each name as it is, or with the first number from 2 on with which none so far is called so."""
    found: list[str] = []
    for position, name in enumerate(names, 1):
        plain = name.replace("\ufeff", "").replace("\x00", "").strip() or f"column_{position}"
        tries = [plain, *(f"{plain}_{count}" for count in range(2, len(names) + 2))]
        found.append(next(each for each in tries if each not in found))
    return found


def test_names_are_those_of_a_plain_search() -> None:
    rng = random.Random(0)
    parts = ["a", " a", "a_2", "a_3", "a_2_2", "", "column_2", "column_3", "文", "\ufeffa", "a\x00", "b"]
    for _ in range(500):
        names = rng.choices(parts, k=rng.randrange(30))
        assert unique_names(names) == searched(names)


def test_a_name_many_times_takes_no_longer_than_as_many_names() -> None:
    """Ten thousand like names were half an hour's work."""
    began = time.perf_counter()
    found = unique_names(["a"] * 100_000)
    assert time.perf_counter() - began < 60
    assert found[:3] + found[-1:] == ["a", "a_2", "a_3", "a_100000"]
