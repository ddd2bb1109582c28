"""How a chat model is asked for a polarity, and how strictly its answer is read.

A model's name gives its family's wording; a text and examples become messages; what the model said becomes a polarity
or None. It asks nothing itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from finsa_moe.errors import ConfigError, closest
from finsa_moe.llm.thoughts import without_thoughts
from finsa_moe.polarity import Polarity, parse_word

FILE = Path(__file__).parent / "prompts.toml"
LONGEST = 2000
"""Characters of a text that are asked about: two thirds of them its head, the rest its tail."""

_CUE = re.compile(
    r"^(?:答案|情绪|情感|市场情绪|倾向|判断|结论|标签|输出|word|answer|label|sentiment|output)\s*(?:是|为)?\s*[:：]?\s*",
    re.IGNORECASE,
)
_BRACKET = re.compile("[(（]")
_GLOSSES = {"bad": Polarity.BEARISH, "good": Polarity.BULLISH}
"""Words for a class in brackets that are no class words by themselves, as the prompts have them."""
_EDGES = " \t\r\n\"'`*_.。,，!！:：;；“”‘’「」『』【】[]()（）<>《》"


@dataclass(frozen=True)
class Prompt:
    """One family's wording.

    Attributes:
        family: Its name.
        system: What the system is told; empty where the family has no such turn.
        question: Holds ``{text}``.
        answers: The words for bearish, neutral and bullish.
        suffix: What follows the last question.
        longest: Most tokens of an answer, where the user does not say.
        request: By field of a request, ``temperature`` or ``max_tokens``, its name in this family's; empty for a field
            that the family does not take.
    """

    family: str
    system: str
    question: str
    answers: tuple[str, str, str]
    suffix: str = ""
    longest: int = 64
    request: Mapping[str, str] = field(default_factory=dict)

    def messages(self, text: str, examples: Sequence[tuple[str, int]] = ()) -> list[dict[str, str]]:
        """The turns that ask about a text, after examples with their class ids."""
        turns = [{"role": "system", "content": self.system}] if self.system else []
        for shown, label in examples:
            turns.append({"role": "user", "content": self._put(shown)})
            turns.append({"role": "assistant", "content": self.answers[label]})
        return [*turns, {"role": "user", "content": self._put(text) + self.suffix}]

    def _put(self, text: str) -> str:
        short = text if len(text) <= LONGEST else text[: LONGEST * 2 // 3] + "……" + text[-LONGEST // 3 :]
        # replace, not format: a text may hold braces of its own
        return self.question.replace("{{", "{").replace("}}", "}").replace("{text}", short)


@cache
def families() -> dict[str, tuple[Prompt, tuple[str, ...]]]:
    """Every family's wording, and the parts of a model's name it is known by."""
    table = tomllib.loads(FILE.read_text(encoding="utf-8"))
    found = {}
    for name, own in table.items():
        part = {**table[own["like"]], **own} if "like" in own else own
        bearish, neutral, bullish = part["answers"]
        more = {key: part[key] for key in ("longest", "request") if key in part}
        prompt = Prompt(
            name, part["system"].strip(), part["question"].strip(), (bearish, neutral, bullish), part["suffix"], **more
        )  # fmt: skip
        found[name] = (prompt, tuple(part["matches"]))
    return found


def prompt_for(model: str, family: str | None = None) -> Prompt:
    """The wording of a family, or of the first one that a model's name belongs to.

    Raises:
        ConfigError: For an unknown family.
    """
    if family is not None:
        if family not in families():
            known = list(families())
            raise ConfigError(f"family {family!r} is none of {', '.join(known)}{closest(family, known)}")
        return families()[family][0]
    low = model.lower()
    return next(prompt for prompt, parts in families().values() if any(_matches(part, low) for part in parts))


def _matches(part: str, name: str) -> bool:
    """Whether a part is found in a model's name; one after ``^`` only at its start, an owner before a slash apart."""
    return re.search(part, name.rpartition("/")[2] if part.startswith("^") else name) is not None


def parse_answer(said: str) -> Polarity | None:
    """The polarity of an answer that is one class word and nothing else; None for any other.

    Allowed around the word are thoughts before it that end by ``</think>``, where the beginning may have stood in the
    prompt, a cue such as ``答案：``, quotes, emphasis, a full stop, and a word for the same in brackets, as in ``利好
    (good)``. A sentence that merely holds the word is not read: ``不是利好`` holds one, too.
    """
    rest = without_thoughts(said, broken=True).strip(_EDGES)
    word, *glosses = (part.strip(_EDGES) for part in _BRACKET.split(_CUE.sub("", rest, count=1), maxsplit=1))
    found = parse_word(word) if word else None
    for gloss in glosses:
        if gloss and _GLOSSES.get(gloss.lower(), parse_word(gloss)) is not found:
            return None
    return found
