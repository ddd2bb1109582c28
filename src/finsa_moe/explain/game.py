"""The game whose Shapley values are the explanation: the words of one text are its players, a model's answer its worth.

A coalition is a boolean row, one entry a word; its worth is the model's answer to the text with the other words hidden.
The game keeps what it was told and notes what it would have to ask, so that many games can be asked in one stream. It
never calls a model itself unless it is given one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from finsa_moe.explain.words import Word

HIDDEN = "…"
"""What stands for a run of hidden words, where a model has no mark of its own."""
CLASSES = 3
Masks = NDArray[np.bool_]
Reals = NDArray[np.float64]
Ask = Callable[[list[str]], Reals]


class Game:
    """One text and what is known of its coalitions.

    Args:
        text: The text as it was given.
        words: Its words, in order. Those that the model does not read are no players and stay hidden.
        hidden: What stands for a run of hidden words.

    Attributes:
        ask: Answers texts with probabilities (k, 3); while it is None, coalitions not yet known count as zero and are
            noted.
    """

    def __init__(self, text: str, words: Sequence[Word], hidden: str = HIDDEN) -> None:
        self.text = text
        self.words = tuple(words)
        self.hidden = hidden
        self.players = [at for at, word in enumerate(self.words) if word.read]
        self.ask: Ask | None = None
        self._slices = [text[word.start : word.end] for word in self.words]
        self._worth: dict[bytes, Reals] = {}
        self._wanted: dict[bytes, str] = {}

    @property
    def size(self) -> int:
        """How many players there are."""
        return len(self.players)

    @property
    def asked(self) -> int:
        """How many coalitions the model has answered."""
        return len(self._worth)

    def masked(self, shown: Masks) -> str:
        """The text of a coalition (players,): every run of hidden words is one `hidden`.

        The whole coalition is the text itself, middle and all, so that the values add up to its own answer.
        """
        if shown.all():
            return self.text
        visible = np.zeros(len(self.words), dtype=bool)
        visible[self.players] = shown
        parts: list[str] = []
        for seen, piece in zip(visible.tolist(), self._slices, strict=True):
            if seen:
                parts.append(piece)
            elif not parts or parts[-1] is not self.hidden:
                parts.append(self.hidden)
        return "".join(parts)

    def want(self, masks: Masks) -> None:
        """Note the coalitions (k, players) that are not known yet."""
        for mask in masks:
            key = mask.tobytes()
            if key not in self._worth and key not in self._wanted:
                self._wanted[key] = self.masked(mask)

    @property
    def wanted(self) -> list[str]:
        """The texts to be asked, in the order noted."""
        return list(self._wanted.values())

    def told(self, answers: Reals) -> None:
        """Take the answers (k, 3) to `wanted`."""
        for key, row in zip(self._wanted, answers, strict=True):
            self._worth[key] = np.asarray(row, dtype=np.float64)
        self._wanted.clear()

    def __call__(self, masks: NDArray[np.generic]) -> Reals:
        """Worth (k, 3) of coalitions (k, players)."""
        rows = np.ascontiguousarray(masks, dtype=bool)
        self.want(rows)
        if self._wanted and self.ask is not None:
            self.told(self.ask(self.wanted))
        nothing = np.zeros(CLASSES)
        return np.stack([self._worth.get(row.tobytes(), nothing) for row in rows])

    def ends(self) -> Masks:
        """The empty and the whole coalition, (2, players)."""
        return np.array([[False] * self.size, [True] * self.size])
