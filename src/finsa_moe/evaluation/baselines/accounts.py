"""What a chat model's answers came to: accounts of several seeds or domains as one, and the cells of a table.

Accounts as `llm` gives them go in. It knows no endpoint and no price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Account = Mapping[str, Any]
SUMMED = (
    "texts", "unusable", "asked", "remembered", "untold", "prompt_tokens", "answer_tokens", "cost",
    "prompt_tokens_before", "answer_tokens_before", "cost_before",
)  # fmt: skip
_USED = ("prompt_tokens", "answer_tokens", "cost")
STRANGE, CUT = "no single class word", "cut off at max_tokens"
REFUSED = "refused by the endpoint"
UNANSWERED = "no answer after all tries"
"""The reason for an unusable answer that may be gone when it is asked again."""
HEADS = ("texts asked about", "unusable answers", "asked now", "kept before", "tokens read", "tokens written", "cost")
NOTE = (
    "Unusable: no single class word, cut off before one, or no answer; such a text counts as 中性 by a hair. Tokens "
    "and cost are those of all answers, whether asked now or kept from an earlier run; – for no price."
)


def added(accounts: Sequence[Account]) -> dict[str, Any]:
    """The sum of some accounts of one model; what is no count is the first's."""
    reasons: Counter[str] = Counter()
    for account in accounts:
        reasons.update(account["unusable_by_reason"])
    sums = {name: sum(account[name] for account in accounts) for name in SUMMED}
    return {**accounts[0], **sums, "unusable_by_reason": dict(reasons)}


def kept(account: Account) -> dict[str, Any]:
    """The account of answers that were all there before this run: nothing is asked, and what they used is paid."""
    before = {f"{name}_before": account[f"{name}_before"] + account[name] for name in _USED}
    remembered = account["remembered"] + account["asked"]
    return {**account, **dict.fromkeys(_USED, 0), **before, "asked": 0, "remembered": remembered}


def useless(account: Account) -> bool:
    """Whether no text at all got an answer that can be used."""
    return bool(account["texts"]) and account["unusable"] >= account["texts"]


def none(account: Account, heard: str) -> str:
    """That no answer can be used, and why, as words; `heard` is what came of the first text."""
    return (
        f"none of {account['texts']:,} answers can be used ({_reasons(account)}); the first is {heard}; another "
        "?family= or a larger ?max_tokens= may help"
    )


def lost(account: Account) -> str:
    """How many answers are unusable and why, as words; empty where none is."""
    if not account["unusable"]:
        return ""
    unusable, texts = account["unusable"], account["texts"]
    return f"{unusable:,} of {texts:,} answers are unusable and count as 中性 ({_reasons(account)})"


def _reasons(account: Account) -> str:
    return ", ".join(f"{reason}: {n:,}" for reason, n in account["unusable_by_reason"].items())


def cells(account: Account) -> list[str]:
    """The words under `HEADS`."""
    lost, texts = account["unusable"], account["texts"]
    read, written, cost = (
        account[name] + account[f"{name}_before"] for name in ("prompt_tokens", "answer_tokens", "cost")
    )
    untold = f" (untold of {account['untold']:,})" if account["untold"] else ""
    return [
        f"{texts:,}", f"{lost:,} ({100 * lost / max(1, texts):.1f} %)", f"{account['asked']:,}",
        f"{account['remembered']:,}", f"{read:,}{untold}", f"{written:,}", f"{cost:,.4f}" if cost else "–",
    ]  # fmt: skip
