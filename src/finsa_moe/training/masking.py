"""Whole-word masking for masked-language modelling (Devlin et al. 2019, section 3.1; Cui et al. 2021 for whole words).

A batch of token ids goes in, the corrupted batch and what to predict come out. A word is a piece of several
characters, a run of Latin pieces or a run of digits; this module knows neither the model nor the corpus.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from finsa_moe.training.corpus import MASK, SPECIAL

_SINGLE, _DIGIT, _LATIN = 0, 1, 2


class WholeWordMasker:
    """Chooses words of a batch and corrupts them: 80 % [MASK], 10 % a random token, 10 % left as they are.

    Args:
        tokenizer: The tokenizer whose ids are masked.
        rate: Share of the tokens to predict. Runs of digits are chosen half as often: they can hardly be guessed,
            and a step spent on them teaches little.
    """

    def __init__(self, tokenizer: Tokenizer, *, rate: float = 0.2) -> None:
        self.rate = rate
        self.vocab_size = tokenizer.get_vocab_size()
        self._kind = np.zeros(self.vocab_size, dtype=np.int8)
        for token, index in tokenizer.get_vocab().items():
            if token.isascii() and token.isdigit():
                self._kind[index] = _DIGIT
            elif token.isascii() and token.isalpha():
                self._kind[index] = _LATIN

    def __call__(self, ids: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Corrupt a batch.

        Args:
            ids: int64 (batch, length) with special tokens.
            rng: Source of randomness; the same state gives the same masks.

        Returns:
            The corrupted ids, int64 (batch, length), and which positions are to be predicted, bool (batch, length).
        """
        kind = self._kind[ids]
        same = (kind[:, 1:] == kind[:, :-1]) & (kind[:, 1:] != _SINGLE)
        starts = np.concatenate([np.ones((len(ids), 1), dtype=bool), ~same], axis=1)
        word = np.cumsum(starts.ravel()) - 1
        draw = rng.random(int(word[-1]) + 1)[word].reshape(ids.shape)
        limit = np.where(kind == _DIGIT, self.rate / 2, self.rate)
        chosen = (draw < limit) & (ids >= len(SPECIAL))
        fate = rng.random(ids.shape)
        noise = rng.integers(len(SPECIAL), self.vocab_size, ids.shape)
        corrupted = np.where(chosen & (fate < 0.8), MASK, ids)
        return np.where(chosen & (fate >= 0.9), noise, corrupted), chosen
