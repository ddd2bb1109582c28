from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finsa_moe.errors import ConfigError, DataError, ModelError
from finsa_moe.evaluation.baselines import make
from finsa_moe.evaluation.baselines.llm import UNUSABLE, LLMBaseline
from finsa_moe.evaluation.baselines.prompts import LONGEST, families, parse_answer, prompt_for
from tests.llm.server import Behaviour, Handler, Server, breaks_off, closes, raw, says, serving, status

ROWS = (["行A", "行B", "行C", "行D", "行E", "行F"], np.array([0, 1, 2, 0, 1, 2]))


def model(server: Server | str, tmp_path: Path, more: str = "", name: str = "qwen2.5:7b") -> LLMBaseline:
    url = server if isinstance(server, str) else server.url
    found = make(f"llm:{name}@{url}?cache={tmp_path / 'kept.jsonl'}&at_once=1&tries=3&timeout=120{more}")
    assert isinstance(found, LLMBaseline)
    found.client._sleep = lambda seconds: None
    return found


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("利好", 2), (" 利空。\n", 0), ("**中性**", 1), ("答案：利好", 2), ("情绪是：利空", 0), ("“利好”", 2),
        ("<think>先看利空……再看</think>\n\n利好", 2), ("Bearish", 0), ("neutral.", 1), ("Answer: bullish", 2),
        ("positive", 2), ("【利空】", 0), ("{利好}", None), ("", None), ("<think>没想完 利好", None), ("不是利好", None),
        ("利好还是利空", None), ("利好利空", None), ("我认为是利好,因为增长", None), ("1", None), ("2", None),
        ("嗯……先看利空</think>\n\n利好", 2), ("利好</think>", None), ("利好 (good)", 2), ("利空（bearish）。", 0),
        ("**Bullish** (利好)", 2), ("答案：中性 (neutral)", 1), ("利好 (bearish)", None), ("利好（也可能利空）", None),
        ("利空 (Bad)", 0), ("利好 (bad)", None), ("利好 (wrong)", None), ("利好 (not)", None), ("利好 (unlikely)", None),
        ("中性 (positive)", None), ("利好()", 2), ("利好 (not good)", None), ("(good) 利好", None), ("利好 利好", None),
        ("抱歉,我无法回答", None), ("<think></think>", None),
    ],
)  # fmt: skip
def test_one_class_word_or_nothing(said: str, label: int | None) -> None:
    assert parse_answer(said) == label


def test_every_family_puts_the_text_once_and_reads_its_own_words() -> None:
    assert set(families()) >= {"glm", "qwen", "gemma", "llama", "internlm", "gpt", "fingpt", "cfgpt"}
    for name, (prompt, _) in families().items():
        turns = prompt.messages("股价{大}涨了", [("例子", 0)])
        content = [turn["content"] for turn in turns]
        assert sum("股价{大}涨了" in text for text in content) == 1, name
        assert "{text}" not in "".join(content)
        assert "{{" not in "".join(content)
        assert [turn["role"] for turn in turns][-3:] == ["user", "assistant", "user"]
        assert [parse_answer(word) for word in prompt.answers] == [0, 1, 2], name
        assert content[-2] == prompt.answers[0]


@pytest.mark.parametrize(
    ("model_name", "family"),
    [
        ("glm-z1-9b", "glm"), ("Qwen2.5-7B-Instruct", "qwen"), ("gemma3:12b", "gemma"), ("llama3.1:8b", "llama"),
        ("internlm2-chat-7b", "internlm"), ("gpt-4o-mini", "gpt"), ("fingpt-v3.1", "fingpt"), ("CFGPT2-7B", "cfgpt"),
        ("something-else", "plain"), ("o3", "gpt-reasoning"), ("openai/o4-mini", "gpt-reasoning"), ("gpt-5-mini", "gpt-reasoning"),
        ("marco-o1", "gpt"), ("gpt-4.1", "gpt"),
    ],
)  # fmt: skip
def test_a_name_gives_its_family(model_name: str, family: str) -> None:
    assert prompt_for(model_name).family == family
    assert prompt_for(model_name, "plain").family == "plain"


@pytest.mark.parametrize(
    ("model_name", "hybrid"),
    [
        ("qwen3:8b", True), ("Qwen/Qwen3-0.6B", True), ("Qwen3-30B-A3B", True), ("Qwen2.5-7B-Instruct", False),
        ("QwQ-32B", False), ("qwen-max", False), ("Qwen3-4B-Instruct-2507", False), ("qwen3-coder:30b", False),
        ("Qwen3-VL-8B-Instruct", False), ("qwen3.5:9b", False),
    ],
)  # fmt: skip
def test_only_hybrids_are_told_not_to_think(model_name: str, hybrid: bool) -> None:
    """To all others the switch is a part of the text."""
    prompt = prompt_for(model_name)
    assert prompt.messages("涨停")[-1]["content"].endswith(" /no_think") == hybrid
    assert prompt.system == prompt_for("qwen2.5:7b").system


def test_a_long_text_keeps_head_and_tail() -> None:
    asked = prompt_for("x").messages("头" * LONGEST + "尾" * LONGEST)[-1]["content"]
    assert asked.count("头") == LONGEST * 2 // 3
    assert asked.count("尾") == LONGEST - LONGEST * 2 // 3


def test_misbehaving_answers_are_counted_and_scored_as_stated(tmp_path: Path) -> None:
    behaviours = [
        says("利空"), says("不好说"), status(500), says("<think>嗯</think>利好"), status(400, b"filtered"),
        breaks_off, closes, says("中性"), raw(b"?"), raw(b"{}"), raw(b"[]"), says("利好,大概"), says("利好"),
    ]  # fmt: skip
    with serving(*behaviours) as server:
        asker = model(server, tmp_path, "&price_in=1000&price_out=10000")
        probs = asker.fit([], []).predict_proba(["a", "b", "c", "d", "e", "f", "g", "h", "b"])
        assert len(server.requests) == 13
    expected = [[1, 0, 0], UNUSABLE, [0, 0, 1], UNUSABLE, [0, 1, 0], UNUSABLE, UNUSABLE, [0, 0, 1], UNUSABLE]
    np.testing.assert_allclose(probs, expected, atol=1e-6)
    assert np.argmax(UNUSABLE) == 1
    account = asker.account
    assert (account["texts"], account["unusable"]) == (9, 5)
    assert account["unusable_by_reason"] == {
        "no single class word": 3, "refused by the endpoint": 1, "no answer after all tries": 1,
    }  # fmt: skip
    # six answers of seven tokens read and three written: 6 · (0.007 + 0.03)
    assert (account["asked"], account["prompt_tokens"], account["answer_tokens"]) == (6, 42, 18)
    assert account["cost"] == pytest.approx(0.222)


def test_answers_that_cannot_be_used_are_counted_by_their_reasons(tmp_path: Path) -> None:
    """What was cut off at the most tokens is told as such. Whether all of a comparison's are is for its runner."""
    cut = {"choices": [{"message": {"content": "<think>先看"}, "finish_reason": "length"}]}
    behaviours = [says("看不懂"), raw(json.dumps(cut).encode()), status(400), says("利好")]
    with serving(*behaviours) as server:
        asker = model(server, tmp_path)
        np.testing.assert_allclose(asker.predict_proba(["a", "b", "c"]), [UNUSABLE] * 3, atol=1e-6)
        assert asker.unusable == {"no single class word": 1, "cut off at max_tokens": 1, "refused by the endpoint": 1}
        assert asker.heard == "'看不懂'"
        assert asker.predict_proba(["d"]).argmax() == 2
        assert asker.account["unusable"] == 3


def test_both_dialects_at_no_temperature(tmp_path: Path) -> None:
    with serving(says("利空")) as server:
        model(f"{server.url}/v1", tmp_path).predict_proba(["跌"])
        model(server, tmp_path, "&api=ollama&max_tokens=9").predict_proba(["跌"])
        (path, body, _), (other_path, other, _) = server.requests
    assert (path, body["temperature"], body["max_tokens"]) == ("/v1/chat/completions", 0, 64)
    assert (other_path, other["options"]) == ("/api/chat", {"temperature": 0, "num_predict": 9})


def reasons(handler: Handler, body: dict[str, Any]) -> None:
    """As models do that think before they answer: a field of the older form is refused."""
    if "max_tokens" in body or body.get("temperature", 1) != 1:
        status(400, b"Unsupported parameter: use 'max_completion_tokens' instead")(handler, body)
    else:
        says("利好")(handler, body)


def test_a_model_that_reasons_is_asked_in_its_own_form(tmp_path: Path) -> None:
    with serving(reasons) as server:
        assert model(server, tmp_path, name="o3").predict_proba(["涨"]).argmax() == 2
        model(server, tmp_path, "&max_tokens=900&family=gpt-reasoning", name="ours").predict_proba(["涨"])
        (_, body, _), (_, other, _) = server.requests
        assert set(body) == {"model", "messages", "max_completion_tokens"}
        assert (body["max_completion_tokens"], other["max_completion_tokens"]) == (4096, 900)
    with serving(says("利空")) as server:
        model(server, tmp_path, name="gpt-4o").predict_proba(["跌"])
        model(server, tmp_path, "&api=ollama", name="o3").predict_proba(["跌"])
        (_, body, _), (_, other, _) = server.requests
        assert list(body) == ["model", "messages", "temperature", "max_tokens"]
        assert set(other) == {"model", "messages", "stream", "options"}


@pytest.mark.parametrize("behaviours", [[status(400, b"no")], [closes, closes, closes, status(400, b"no"), closes]])
def test_a_model_that_answers_no_text(behaviours: list[Behaviour], tmp_path: Path) -> None:
    with serving(*behaviours) as server:
        asker = model(server, tmp_path)
        asker.predict_proba(["a", "b", "c"])
        assert asker.account["unusable"] == 3
        assert asker.heard.startswith("http")
    with serving(status(400), says("利好")) as server:
        asker = model(server, tmp_path)
        asker.predict_proba(["a", "b"])
        assert (asker.account["unusable"], asker.predict_proba([]).shape) == (1, (0, 3))


def test_a_second_run_asks_nothing_wherever_the_texts_stand(tmp_path: Path) -> None:
    with serving(says("利空")) as server:
        first = model(server, tmp_path).predict_proba(["a", "b"])
        again = model(server, tmp_path)
        assert np.array_equal(again.predict_proba(["b", "a"]), first)
        assert len(server.requests) == 2
        assert (again.account["remembered"], again.account["asked"]) == (2, 0)


def test_a_run_that_failed_goes_on(tmp_path: Path) -> None:
    failed = pytest.raises(ModelError, match=r"401: key gone.*2 answers are kept, the same command goes on")
    with serving(says("利空"), says("利好"), status(401, b"key gone")) as server, failed:
        model(server, tmp_path).predict_proba(["a", "b", "c", "d"])
    with pytest.raises(ModelError, match="no answer to 2 questions in a row"):  # nobody listens there any more
        model(server, tmp_path).predict_proba(["c", "d"])
    assert model(server, tmp_path).predict_proba(["b", "a"]).argmax(axis=1).tolist() == [2, 0]


def test_a_server_that_is_gone_is_not_asked_hundreds_of_times(tmp_path: Path) -> None:
    with serving(says("利空"), status(503)) as server:
        with pytest.raises(ModelError, match="so ended 8 requests in a row; 1 answers are kept"):
            model(server, tmp_path).predict_proba([str(at) for at in range(300)])
        assert len(server.requests) < 60


def test_no_more_money_than_allowed(tmp_path: Path) -> None:
    with serving(says("利空")) as server:
        asker = model(server, tmp_path, "&price_in=1000&price_out=10000&budget=0.1")
        with pytest.raises(ModelError, match=r"the budget of 0\.1 is spent"):
            asker.predict_proba([str(at) for at in range(100)])
        assert 3 <= len(server.requests) <= 6  # 0.037 each; what was under way is still answered


def test_examples_are_training_rows_even_over_the_classes(tmp_path: Path) -> None:
    with serving(says("利好")) as server:
        asker = model(server, tmp_path, "&shots=3")
        with pytest.raises(DataError, match="call fit"):
            asker.predict_proba(["a"])
        asker.fit(*ROWS, seed=3).predict_proba(["新的文本"])
        turns = server.requests[0][1]["messages"]
        users = [t["content"] for t in turns if t["role"] == "user"]
        said = [t["content"] for t in turns if t["role"] == "assistant"]
        assert said == ["利空", "中性", "利好"]
        shown = [re.search("行[A-F]", text)[0] for text in users[:-1]]  # type: ignore[index]
        assert [ROWS[1][ROWS[0].index(text)] for text in shown] == [0, 1, 2]
        assert "新的文本" in users[-1]
        assert not any("新的文本" in text for text in users[:-1])
        again = model(server, tmp_path, "&shots=3").fit(*ROWS, seed=3)
        assert again.examples == asker.examples


def test_a_text_asked_about_is_never_an_example(tmp_path: Path) -> None:
    with serving(says("利好")) as server:
        asker = model(server, tmp_path, "&shots=2").fit(*ROWS, seed=3)
        own = asker.examples[0][0]
        asker.predict_proba([f" {own}。"])  # the same text but for white space and a full stop
        turns = [t["content"] for t in server.requests[0][1]["messages"]]
        assert sum(own in text for text in turns) == 1
        assert len([t for t in server.requests[0][1]["messages"] if t["role"] == "assistant"]) == 2
        with pytest.raises(ConfigError, match="take the test rows out of the training rows"):
            asker.predict_proba(ROWS[0])


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no endpoint; write llm:MODEL@"):
        make("llm:qwen")
    with pytest.raises(ConfigError, match="allowed is an address"):
        make("llm:qwen@localhost:80")
    with pytest.raises(ConfigError, match=r"family 'quen' is none of .*did you mean 'qwen'"):
        make("llm:qwen@http://127.0.0.1:1?family=quen")
    with pytest.raises(ConfigError, match="a budget needs price_in"):
        make("llm:qwen@http://127.0.0.1:1?budget=3")
    with pytest.raises(ConfigError, match=r"unknown option 'key'; it takes .*key_file"):
        make("llm:qwen@http://127.0.0.1:1?key=abc")
    with pytest.raises(ConfigError, match="there are 6 training rows"):
        model("http://127.0.0.1:1", tmp_path, "&shots=9").fit(*ROWS)


def test_a_budget_is_not_spent_twice(tmp_path: Path) -> None:
    """What is kept was paid for: the same command asks for no more, and what is kept whole costs nothing."""
    texts = [str(at) for at in range(100)]
    with serving(says("利空")) as server:
        asked = [0]
        for _ in range(2):
            with pytest.raises(ModelError, match=r"the budget of 0\.1 is spent"):
                model(server, tmp_path, "&price_in=1000&price_out=10000&budget=0.1").predict_proba(texts)
            asked.append(len(server.requests))
        spent = asked[2]
        assert spent - asked[1] < 3 <= asked[1]  # 0.037 each; what was under way when it was reached is answered
        again = model(server, tmp_path, "&price_in=1000&price_out=10000&budget=0.01")
        again.predict_proba(texts[:2])
        assert len(server.requests) == spent


def test_a_text_of_two_sets_is_paid_for_once(tmp_path: Path) -> None:
    with serving(says("利空")) as server:
        asker = model(server, tmp_path, "&price_in=1000000&price_out=0")
        asker.predict_proba(["涨", "跌"])
        asker.predict_proba(["涨"])
    assert (asker.account["asked"], asker.account["remembered"], asker.account["texts"]) == (2, 1, 3)
    assert (asker.account["cost"], asker.account["cost_before"]) == (14, 0)
