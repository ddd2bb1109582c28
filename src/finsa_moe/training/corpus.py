"""Unlabelled text to a tokenizer and to one flat array of token ids on disk.

Text files, plain or compressed, go in; a `Corpus` of documents comes out, memory-mapped, so that training needs no
more memory than a batch. It knows nothing of masking, models or devices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sized
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.files import working_folder

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL))


def new_tokenizer() -> Tokenizer:
    """An untrained Unigram tokenizer for Chinese finance: NFKC, lower case, digits and punctuation one by one."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.Split(Regex(r"[^\w\s]|_"), behavior="isolated"),
        ]
    )
    return tokenizer


def train_tokenizer(texts: Iterable[str], *, vocab_size: int, max_piece: int = 6) -> Tokenizer:
    """Train the tokenizer of a compact backbone.

    Args:
        texts: Normalised texts; a few hundred thousand lines are enough.
        vocab_size: Pieces, the five special tokens counted; fewer come back when the text does not hold as many.
        max_piece: Most characters of a piece, so that whole sentences do not become one.

    Raises:
        ConfigError: If the texts hold more different characters than `vocab_size`.
    """
    tokenizer = new_tokenizer()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        unk_token="[UNK]",
        max_piece_length=max_piece,
        show_progress=False,
    )
    try:
        tokenizer.train_from_iterator(texts, trainer)
    except Exception as error:  # tokenizers raises nothing more precise
        raise ConfigError(
            f"pretrain: vocab_size: {vocab_size} does not do for these texts ({error}); raise it"
        ) from None
    tokenizer = _canonical(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def _canonical(tokenizer: Tokenizer) -> Tokenizer:
    """The same pieces under the same ids each time a tokenizer is trained on the same texts.

    The trainer leaves two things to the order of a hash table: which of two equal pieces comes first, and the scores
    of characters too rare to have got one, which it spreads in steps of 1e-4 above the lowest. They all get the lowest.
    """
    raw = json.loads(tokenizer.to_str())
    special, pieces = raw["model"]["vocab"][: len(SPECIAL)], raw["model"]["vocab"][len(SPECIAL) :]
    lowest = min((score for _, score in pieces), default=0.0)
    even = []
    for piece, score in pieces:
        steps = (score - lowest) / 1e-4
        rare = len(piece) == 1 and abs(steps - round(steps)) < 1e-5
        even.append([piece, round(lowest if rare else score, 9)])
    raw["model"]["vocab"] = special + sorted(even, key=lambda entry: (-entry[1], entry[0]))
    return Tokenizer.from_str(json.dumps(raw))


@dataclass(frozen=True)
class Corpus:
    """Documents as token ids, without special tokens.

    Attributes:
        ids: uint16 or int32 array, all documents one after another.
        ends: int64 array (documents,), where each document ends in `ids`.
        dropped: How many texts were left out for being near to held-out ones.
    """

    ids: NDArray[np.generic]
    ends: NDArray[np.int64]
    dropped: int = 0

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Map a corpus written by `write`."""
        facts = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
        ids, ends = np.load(folder / "ids.npy", mmap_mode="r"), np.load(folder / "ends.npy")
        return cls(ids, ends, facts.get("dropped", 0))

    @staticmethod
    def write(
        texts: Iterable[str], tokenizer: Tokenizer, folder: Path, *, longest: int, chunk: int = 20_000,
        dropped: Sized = (),
    ) -> None:  # fmt: skip
        """Tokenise texts into `folder`; documents over `longest` tokens are cut into equal parts.

        `dropped` fills while the texts are drawn, with those that were left out; only their number is kept.
        Written beside and renamed, so a folder that exists is whole.
        """
        dtype = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.int32
        parts: list[NDArray[np.generic]] = []
        lengths: list[int] = []
        stream = iter(texts)
        while batch := list(islice(stream, chunk)):
            for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
                ids = np.asarray(encoding.ids, dtype=dtype)
                if len(ids) < 4:  # nothing to learn from so little context
                    continue
                for piece in np.array_split(ids, -(-len(ids) // longest)):
                    parts.append(piece)
                    lengths.append(len(piece))
        if not parts:
            raise DataError("no text of four tokens or more in the given files; nothing to train on")
        facts = {"documents": len(lengths), "tokens": int(sum(lengths)), "vocab_size": tokenizer.get_vocab_size()}
        facts["dropped"] = len(dropped)
        with working_folder(folder) as working:
            np.save(working / "ids.npy", np.concatenate(parts))
            np.save(working / "ends.npy", np.cumsum(lengths, dtype=np.int64))
            (working / "corpus.json").write_text(json.dumps(facts, indent=2))
            working.replace(folder)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, int64 (documents,)."""
        return np.diff(self.ends, prepend=0)


def equal_length_batches(
    lengths: NDArray[np.int64], *, tokens: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """One epoch of batches in random order, each of documents of one length, of at most `tokens` tokens.

    No padding, so no attention mask, and no token of the budget is wasted. Lengths count two special tokens.
    """
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    batches: list[NDArray[np.int64]] = []
    borders = np.flatnonzero(np.diff(lengths[order])) + 1
    for group in np.split(order, borders):
        size = max(1, tokens // int(lengths[group[0]] + 2))
        batches.extend(np.split(group, range(size, len(group), size)))
    return [batches[i] for i in rng.permutation(len(batches))]
