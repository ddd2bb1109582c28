"""Text to token ids: normalise, put the prompt round the text, cut what is too long from the middle.

Training and inference share this one path, so that what a model was trained on is what it sees. Works on the
`tokenizers` library alone; it knows neither torch nor transformers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from finsa_moe.data.amounts import read
from finsa_moe.errors import ConfigError

PROMPTS = {
    "none": "{text}",
    "neutral": "下面是一段中文财经文本，请判断它对相关标的是利空、中性还是利好。\n文本：{text}\n判断：",
    "news": "下面是一条财经新闻，请判断它反映的市场情绪是利空、中性还是利好。\n新闻：{text}\n市场情绪：",
    "forum": "下面是一条股吧评论，请判断发帖人的倾向是利空、中性还是利好。\n评论：{text}\n倾向：",
}


PORTION = 1024
"""Texts that are tokenised at once: what the library keeps of each of them is some hundred times its ids."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one text with its prompt and special tokens, and whether its middle was cut."""

    ids: list[int]
    truncated: bool


def template(prompt: str) -> tuple[str, str]:
    """The words before and after the text, from a prompt's name or a template holding ``{text}`` once.

    Raises:
        ConfigError: If it is neither a known name nor a template with one ``{text}``.
    """
    words = PROMPTS.get(prompt, prompt)
    if words.count("{text}") != 1:
        raise ConfigError(
            f"prompt {prompt!r} is neither one of {', '.join(PROMPTS)} nor a template that holds {{text}} once"
        )
    before, after = words.split("{text}")
    return before, after


class TextEncoder:
    """Encodes texts for one model.

    The prompt is tokenised apart from the text, so no merge crosses the border and the cue for the class is never cut.
    A text over the room left by the prompt keeps its head and its tail, two thirds and one third: headlines state
    the matter first, posts often turn at the end.

    Args:
        tokenizer: A `tokenizers.Tokenizer`; its own truncation and padding are switched off.
        prompt: A name in `PROMPTS` or a template.
        max_length: Most tokens of an encoded text, prompt and special tokens counted.
        pad_id: Id used to fill batches.

    Raises:
        ConfigError: If the prompt alone does not fit into `max_length`.
    """

    def __init__(self, tokenizer: Tokenizer, *, prompt: str = "none", max_length: int = 512, pad_id: int = 0) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.pad_id = pad_id
        before, after = template(prompt)
        start, end = _special_ids(tokenizer)
        self._start = start + self._ids([before])[0] if before else start
        self._end = self._ids([after])[0] + end if after else end
        self.room = max_length - len(self._start) - len(self._end)
        if self.room < 8:
            raise ConfigError(
                f"max_length {max_length} leaves {self.room} tokens for the text beside the prompt; raise max_length"
            )

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if len(texts) == 1:  # no threads to wake for one
            return [self.tokenizer.encode(texts[0], add_special_tokens=False).ids]
        return [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def __call__(self, texts: Sequence[str]) -> list[Encoded]:
        """Encode raw texts; they are normalised here and nowhere else."""
        starts = range(0, len(texts), PORTION)
        return [encoded for at in starts for encoded in self._portion(texts[at : at + PORTION])]

    def packed(self, texts: Iterable[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Encode raw texts without keeping more of them than four bytes a token.

        Returns:
            Ids of all texts one after another, (tokens,), and where each begins and the last ends, (n + 1,).
        """
        ids, ends, left = array("i"), array("q", [0]), iter(texts)
        while portion := list(islice(left, PORTION)):
            for encoded in self._portion(portion):
                ids.extend(encoded.ids)
                ends.append(len(ids))
        return np.frombuffer(ids, np.int32), np.frombuffer(ends, np.int64)

    def _portion(self, texts: Sequence[str]) -> list[Encoded]:
        # A token never covers more than a few characters; what lies further than this from both ends cannot stay.
        reach = 16 * self.max_length
        clean = [read(text) for text in texts]
        short = [t if len(t) <= 2 * reach else t[:reach] + t[-reach:] for t in clean]
        return [self._fit(ids, cut=len(s) < len(c)) for ids, s, c in zip(self._ids(short), short, clean, strict=True)]

    def _fit(self, ids: list[int], *, cut: bool) -> Encoded:
        if len(ids) <= self.room:
            return Encoded(self._start + ids + self._end, cut)
        head, tail = head_and_tail(self.room)
        return Encoded(self._start + ids[:head] + ids[-tail:] + self._end, True)


def head_and_tail(room: int) -> tuple[int, int]:
    """How many tokens of a text over the room are kept of its head and of its tail."""
    return room - room // 3, room // 3


def _special_ids(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer puts before and after every text."""
    for text in ("文", "a", "1"):  # a tokenizer that knows no such character may give no token at all
        probe = tokenizer.encode(text, add_special_tokens=False).ids
        full = tokenizer.encode(text, add_special_tokens=True).ids
        for at in range(len(full) - len(probe) + 1):
            if probe and full[at : at + len(probe)] == probe:
                return full[:at], full[at + len(probe) :]
    return [], []
