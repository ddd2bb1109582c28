"""Which texts of a stream equal or nearly equal one of a set held out: exact, by character n-grams, in one pass.

The held-out texts are indexed by their rarest n-grams; of a text that shares one, the true Jaccard similarity is
computed. No hashing, so nothing is missed. It knows neither files nor labels.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from finsa_moe.data.text import duplicate_key

N, HELD_OUT_THRESHOLD = 4, 0.6
_ROUNDING = 1e-9


def ngrams(text: str, n: int = N) -> frozenset[str]:
    """The set of character n-grams of a text's `duplicate_key`; a text shorter than n is one gram."""
    key = duplicate_key(text)
    return frozenset(key[at : at + n] for at in range(max(1, len(key) - n + 1)))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Shared n-grams over all n-grams, 0 to 1; two empty sets are equal."""
    both = len(left & right)
    return both / (len(left) + len(right) - both) if left or right else 1.0


@dataclass(frozen=True)
class Match:
    """The held-out text that a text is nearest to.

    Attributes:
        position: Its place in the set.
        similarity: Jaccard of the two, at least the threshold.
    """

    position: int
    similarity: float


class HeldOut:
    """Texts that must not be learnt from.

    Jaccard of at least t means that a share t of the held-out text's n-grams is shared, so one of any
    ``|r| - ceil(t |r|) + 1`` of them is; the rarest ones are indexed (prefix filtering, Chaudhuri et al. 2006).

    Args:
        texts: The held-out texts.
        threshold: Least Jaccard similarity that counts as near, above 0 to 1.
        n: Length of an n-gram, characters.
    """

    def __init__(self, texts: Sequence[str], threshold: float = HELD_OUT_THRESHOLD, n: int = N) -> None:
        self.threshold, self.n = threshold, n
        self._grams = [ngrams(text, n) for text in texts]
        often = Counter(gram for grams in self._grams for gram in grams)
        self._index: dict[str, list[int]] = defaultdict(list)
        for position, grams in enumerate(self._grams):
            kept = len(grams) - math.ceil(threshold * len(grams) - _ROUNDING) + 1
            for gram in sorted(grams, key=lambda gram: (often[gram], gram))[:kept]:
                self._index[gram].append(position)

    def __len__(self) -> int:
        return len(self._grams)

    def match(self, text: str) -> Match | None:
        """The nearest held-out text, None when none is near; of equally near ones the first."""
        grams = ngrams(text, self.n)
        candidates = {position for gram in self._index.keys() & grams for position in self._index[gram]}
        best: Match | None = None
        for position in sorted(candidates):
            found = jaccard(grams, self._grams[position])
            if found >= self.threshold - _ROUNDING and (best is None or found > best.similarity):
                best = Match(position, found)
        return best

    def without(self, texts: Iterable[str], dropped: list[str] | None = None) -> Iterator[str]:
        """The texts that are near to none of the held-out ones; the others are added to `dropped`."""
        for text in texts:
            if self.match(text) is None:
                yield text
            elif dropped is not None:
                dropped.append(text)
