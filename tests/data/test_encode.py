from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from finsa_moe.data.amounts import LESS, read
from finsa_moe.data.encode import PROMPTS, Encoded, TextEncoder, template
from finsa_moe.errors import ConfigError

CHARACTERS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ALPHABET = sorted(set("".join(PROMPTS.values())) | set("涨跌平利好空大小又了123456789abc，。！😀"))


def characters(start: Sequence[str] = ("[CLS]",), end: Sequence[str] = ("[SEP]",)) -> Tokenizer:
    """One character, one token: what stands where can be read off by hand."""
    vocabulary = {token: index for index, token in enumerate([*CHARACTERS, *ALPHABET])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    if start or end:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=" ".join([*start, "$A", *end]), special_tokens=[(t, vocabulary[t]) for t in {*start, *end}]
        )
    return tokenizer


def spelt(tokenizer: Tokenizer, encoded: Encoded) -> str:
    return "".join(tokenizer.id_to_token(i) or "?" for i in encoded.ids)


def test_special_tokens_and_prompt_stand_round_the_text() -> None:
    tokenizer = characters()
    assert spelt(tokenizer, TextEncoder(tokenizer)(["大涨"])[0]) == "[CLS]大涨[SEP]"
    asked = spelt(tokenizer, TextEncoder(tokenizer, prompt="又{text}了！")(["大涨"])[0])
    assert asked == "[CLS]又大涨了！[SEP]"


@pytest.mark.parametrize(
    ("start", "end"),
    [((), ()), (("[CLS]",), ()), (("[CLS]", "[SEP]"), ()), ((), ("[SEP]",)), (("[CLS]",), ("[SEP]", "[SEP]"))],
)
def test_any_habit_of_special_tokens(start: tuple[str, ...], end: tuple[str, ...]) -> None:
    tokenizer = characters(start, end)
    for prompt, before, after in (("none", "", ""), ("又{text}", "又", ""), ("{text}了", "", "了")):
        encoder = TextEncoder(tokenizer, prompt=prompt, max_length=16)
        assert spelt(tokenizer, encoder(["大涨"])[0]) == "".join([*start, before, "大涨", after, *end])
        long = encoder(["涨跌" * 25])[0]
        assert len(long.ids) == 16
        assert spelt(tokenizer, long).startswith("".join(start) + before)
        assert spelt(tokenizer, long).endswith(after + "".join(end))


def test_special_tokens_of_a_tokenizer_that_knows_no_chinese() -> None:
    """It must not matter that the probe has no token of its own."""
    tokenizer = Tokenizer(models.BPE({"[CLS]": 0, "[SEP]": 1, "a": 2, "b": 3}, []))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    assert TextEncoder(tokenizer, max_length=16)(["ab"])[0].ids == [0, 2, 3, 1]


def test_a_chat_template_written_as_a_prompt_comes_out_as_its_tokens() -> None:
    """As the tokenizer itself reads the whole, what it puts before every text included; unknown ones are letters."""
    tokenizer = characters(end=())
    assert "<|user|>" not in spelt(tokenizer, TextEncoder(tokenizer, prompt="<|user|>{text}")(["大涨"])[0])
    tokenizer.add_special_tokens(["<|user|>", "<|assistant|>"])
    encoded = TextEncoder(tokenizer, prompt="<|user|>又{text}了<|assistant|>", max_length=24)(["大涨"])[0]
    assert spelt(tokenizer, encoded) == "[CLS]<|user|>又大涨了<|assistant|>"
    assert encoded.ids == tokenizer.encode("<|user|>又大涨了<|assistant|>").ids
    assert len(encoded.ids) == 7


def test_a_long_text_keeps_two_thirds_of_head_and_one_of_tail_and_the_cue() -> None:
    tokenizer = characters()
    encoder = TextEncoder(tokenizer, prompt="又{text}了！", max_length=17)  # room: 17 - [CLS] 又 - 了 ！ [SEP] = 12
    assert encoder.room == 12
    text = "123456789abc" + "平" * 30 + "abc987654321"
    encoded = encoder([text])[0]
    assert spelt(tokenizer, encoded) == "[CLS]又" + "12345678" + "4321" + "了！[SEP]"
    assert encoded.truncated
    exact = encoder(["123456789abc"])[0]
    assert spelt(tokenizer, exact) == "[CLS]又123456789abc了！[SEP]"
    assert not exact.truncated
    assert encoder(["123456789abc1"])[0].truncated


@pytest.mark.parametrize("prompt", list(PROMPTS))
def test_every_prompt_ends_in_its_cue_however_long_the_text(prompt: str) -> None:
    tokenizer = characters()
    encoder = TextEncoder(tokenizer, prompt=prompt, max_length=80)
    before, after = template(prompt)
    for text in ("涨", "涨跌" * 500):
        words = spelt(tokenizer, encoder([text])[0])
        assert words.startswith("[CLS]" + before)
        assert words.endswith(after + "[SEP]")
    if prompt != "none":
        assert after.strip().endswith("：")
        assert {"利空", "中性", "利好"} <= {before[i : i + 2] for i in range(len(before))}
    if prompt == "neutral":
        assert not {"新闻", "股吧", "公告"} & {words[i : i + 2] for i in range(len(words))}, "it must not name a domain"


@pytest.mark.parametrize("prompt", ["loud", "", "{text}{text}", "no place", "{Text}"])
def test_what_is_no_prompt(prompt: str) -> None:
    with pytest.raises(
        ConfigError, match=r"neither one of none, neutral, news, forum nor a template that holds \{text\} once"
    ):
        TextEncoder(characters(), prompt=prompt)


def test_a_prompt_that_leaves_no_room() -> None:
    with pytest.raises(
        ConfigError, match=r"max_length 20 leaves -\d+ tokens for the text beside the prompt; raise max_length"
    ):
        TextEncoder(characters(), prompt="neutral", max_length=20)
    assert TextEncoder(characters(), max_length=10).room == 8
    with pytest.raises(ConfigError, match="max_length 9 leaves 7 tokens"):
        TextEncoder(characters(), max_length=9)


def test_a_hundred_thousand_characters_are_quick() -> None:
    tokenizer = characters()
    encoder = TextEncoder(tokenizer, max_length=128)
    text = "涨大" * 25_000 + "平" + "跌大" * 25_000
    started = time.process_time()
    encoded = encoder([text])[0]
    assert time.process_time() - started < 2
    assert spelt(tokenizer, encoded) == "[CLS]" + "涨大" * 42 + "跌大" * 21 + "[SEP]"
    assert encoded.truncated


def test_a_text_cut_before_it_was_tokenised_says_so() -> None:
    """Pieces of many characters: what is left after the cut fits, yet the middle is gone."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a" * 40: 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    encoded = TextEncoder(tokenizer, max_length=32)([" ".join(["a" * 40] * 31)])[0]
    assert encoded.truncated == (len(encoded.ids) < 31)


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("大涨\ud83d", "大涨"), ("\udc00大\ud800涨", "大涨"), ("大\x00涨", "大涨"), ("\ufeff大涨\u200b", "大涨"),
        ("  大  涨\n", "大 涨"), ("大漲", "大涨"), ("ａｂｃ", "abc"), ("", ""), ("\x00", ""),
    ],
)  # fmt: skip
def test_odd_characters_are_normalised_here(text: str, same_as: str) -> None:
    encoder = TextEncoder(characters())
    assert encoder([text]) == encoder([same_as])


def test_amounts_are_compared_here() -> None:
    text = "利润1亿元,去年同期2亿元"
    (encoded,) = TextEncoder(characters())([text])
    assert len(encoded.ids) == len("[") + len(text) + len(LESS) + len("]"), "one character, one token"


def test_emoji_stay() -> None:
    tokenizer = characters()
    assert spelt(tokenizer, TextEncoder(tokenizer)(["涨😀"])[0]) == "[CLS]涨😀[SEP]"


def test_the_tokenizers_own_cutting_and_padding_are_off() -> None:
    tokenizer = characters()
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=30)
    encoder = TextEncoder(tokenizer, max_length=64)
    assert [len(e.ids) for e in encoder(["涨跌" * 20, "跌"])] == [42, 3]
    assert encoder([]) == []


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(max_size=200), max_size=5),
    st.integers(13, 60),
    st.sampled_from(["none", "又{text}了！", "{text}跌"]),
)
@example(["\ud800"], 13, "none")
def test_any_text_gives_ids_within_the_length(texts: list[str], max_length: int, prompt: str) -> None:
    tokenizer = characters()
    encoder = TextEncoder(tokenizer, prompt=prompt, max_length=max_length)
    together = encoder(texts)
    assert together == [encoder([text])[0] for text in texts], "batch mates do not matter"
    for text, encoded in zip(texts, together, strict=True):
        assert len(encoded.ids) <= max_length
        assert encoded.truncated == (len(read(text)) > encoder.room)
        bare = len(encoder([""])[0].ids)
        assert len(encoded.ids) == min(bare + len(read(text)), max_length)
