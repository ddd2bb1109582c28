"""What the service answers, against the predictor asked directly, and how it refuses."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest

from finsa_moe.errors import ConfigError
from finsa_moe.face import FinSA
from finsa_moe.polarity import ENGLISH
from finsa_moe.runtime.predictor import Predictor
from tests.fakes import FakeEngine
from tests.service.served import Service, Settings, Shelf, SlowEngine, serving, until

TEXTS = ["涨停了", "公告:跌停", "横盘", "又跌了,空", "升升升" * 30]
WANTED = {"sentiment", "label", "confidence", "expert", "scores", "expert_weights", "novelty", "truncated", "uncertain"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving(Settings(max_texts=300, max_chars=500, max_body=200_000, abstain_below=0.6)) as found:
        yield found


def test_answers_are_the_predictors_own(service: Service) -> None:
    predictor = Predictor(FakeEngine(), abstain_below=0.6)
    for texts in (TEXTS, TEXTS * 40):  # the second by the lane of many
        reply = service.predict(texts)
        assert reply.status == 200
        found = reply.json()
        assert found["model"] == "a fake"
        for got, wanted in zip(found["predictions"], predictor.predict(texts), strict=True):
            assert set(got) == WANTED
            assert got["sentiment"] == wanted.sentiment
            assert got["expert"] == wanted.expert
            assert (got["truncated"], got["uncertain"]) == (wanted.truncated, wanted.uncertain)
            assert got["confidence"] == pytest.approx(wanted.confidence, abs=2e-6)
            for name in ENGLISH:
                assert got["scores"][name] == pytest.approx(wanted.scores[name], abs=2e-6)
            assert got["scores"][got["label"]] == max(got["scores"].values())


def test_one_text_a_domain_and_no_scores(service: Service) -> None:
    found = service.predict("跌停", domain="news", scores=False).json()["predictions"]
    assert len(found) == 1
    assert found[0]["expert"] == "news"
    assert "scores" not in found[0]
    assert "expert_weights" not in found[0]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (r"涨\ud83d", "涨"),
        (r"\uDE00跌停\ud83d\ud83d", "跌停"),
        (r"涨\ud83d\ude00", "涨\U0001f600"),
        (r"涨\\ud83d", r"涨\ud83d"),
    ],
)
def test_half_an_emoji_is_dropped_and_a_whole_one_read(service: Service, sent: str, read: str) -> None:
    body = f'{{"texts": ["{sent}", "横盘"]}}'.encode()
    reply = service.ask("POST", "/v1/predict", body, {"Content-Type": "application/json"})
    assert reply.status == 200, reply.body
    wanted = Predictor(FakeEngine()).predict([read, "横盘"])
    found = reply.json()["predictions"]
    assert [one["scores"]["bullish"] for one in found] == pytest.approx([w.scores["bullish"] for w in wanted], abs=2e-6)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"texts": ["涨", 3]}, 422, "/texts/1"),
        ({"texts": 3}, 422, "/texts"),
        ({"texts": []}, 422, "/texts"),
        ({}, 422, "/texts"),
        ({"texts": ["涨"], "domian": "news"}, 422, "/domian"),
        ({"texts": ["涨"], "domain": "newz"}, 422, "/domain"),
        ({"texts": ["涨"], "scores": "yes"}, 422, "/scores"),
        ({"texts": ["涨", "  "]}, 422, "/texts/1"),
        ({"texts": ["涨", "\u200b"]}, 422, "/texts/1"),
        ({"texts": ["涨", "涨" * 501]}, 422, "/texts/1"),
        ({"texts": ["涨"] * 301}, 422, "/texts"),
        ({"texts": ["涨"] * 17, "explain": True}, 422, "/texts"),
    ],
)
def test_a_problem_names_the_field(service: Service, body: object, status: int, pointer: str) -> None:
    reply = service.ask("POST", "/v1/predict", body)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert problem["status"] == status
    assert problem["type"].startswith("urn:finsa:")
    assert problem["errors"][0]["pointer"] == pointer


def test_heads_and_bodies_have_bounds(service: Service) -> None:
    kind = {"Content-Type": "application/json"}
    assert service.ask("POST", "/v1/predict", b'{"texts": [', kind).status == 400
    assert service.ask("POST", "/v1/predict", b"\xff\xfe", kind).status == 400
    assert service.ask("POST", "/v1/predict", b"[" * 50_000, kind).status == 400
    assert service.ask("POST", "/v1/predict", b" " * 200_001, kind).status == 413
    assert service.ask("POST", "/v1/predict", b"{}", {"Content-Type": "text/plain"}).status == 415
    assert service.ask("POST", "/v1/predict", b"{}", {**kind, "Content-Encoding": "gzip"}).status == 415
    assert service.ask("PUT", "/v1/predict", b"{}", kind).status == 405
    assert service.ask("GET", "/v1/nothing").status == 404
    assert service.ask("GET", "/healthz", headers={"X": "y" * 40_000}).status == 431
    chunked = service.ask("POST", "/v1/predict", iter([b" " * 50_000] * 5), kind)
    assert chunked.status == 413


def test_every_answer_bears_the_headers(service: Service) -> None:
    for reply in (service.ask("GET", "/"), service.predict("涨"), service.ask("GET", "/nothing")):
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers or "uvicorn" not in reply.headers["server"]


def test_other_sites_and_names_are_refused(service: Service) -> None:
    """A page of another site, or one that points its own name here, gets nothing."""
    assert service.ask("GET", "/v1/model", headers={"Host": "evil.example"}).status == 421
    assert service.ask("GET", "/v1/model", headers={"Origin": "http://evil.example"}).status == 403
    assert service.ask("GET", "/v1/model", headers={"Origin": service.url}).status == 200
    assert service.ask("GET", "/v1/model", headers={"Host": f"localhost:{service.port}"}).status == 200


def test_the_model_tells_of_itself(service: Service) -> None:
    found = service.ask("GET", "/v1/model").json()
    assert found["experts"] == ["news", "forum"]
    assert found["labels"] == ["bearish", "neutral", "bullish"]
    assert found["sentiments"] == ["利空", "中性", "利好"]
    assert found["limits"]["max_texts"] == 300
    assert service.ask("GET", "/healthz").json() == {"status": "ok"}
    assert service.ask("GET", "/readyz").json() == {"status": "ready"}


def test_a_confidence_to_abstain_below_is_a_probability() -> None:
    with pytest.raises(ConfigError, match=r"abstain_below is 2; it is a probability"):
        Settings(abstain_below=2)


def test_the_meters_count() -> None:
    with serving(Settings(abstain_below=0.9)) as service:
        assert service.metric("finsa_sentiment_texts_total") == 0
        service.predict(["涨升涨升涨升", "跌", "公告"])
        service.predict(["涨", "\u200b"])
        assert service.metric("finsa_sentiment_texts_total") == 4
        assert service.metric("finsa_expert_texts_total") == 4
        assert service.metric("finsa_uncertain_texts_total") == 3
        assert service.metric("finsa_empty_texts_total") == 1
        assert service.metric("finsa_batch_texts_sum") == 4
        assert service.metric("finsa_queue_texts") == 0
        text = service.ask("GET", "/metrics").body.decode()
        assert 'finsa_requests_total{route="/v1/predict",status="200"} 1.0' in text
        assert 'finsa_requests_total{route="/v1/predict",status="422"} 1.0' in text


def test_requests_that_wait_go_together() -> None:
    engine = SlowEngine()
    with serving(engine=engine) as service:
        engine.gate.clear()
        threads = [threading.Thread(target=service.predict, args=("涨停" * (1 + at % 3),)) for at in range(20)]
        for thread in threads:
            thread.start()
        until(lambda: engine.held + service.metric("finsa_queue_texts") == 20)
        engine.shapes.clear()
        engine.gate.set()
        for thread in threads:
            thread.join()
        rows = [shape[0] for shape in engine.shapes]
        assert sum(rows) == 20
        assert len(rows) <= 6


def test_more_than_can_be_answered_in_time_is_refused_at_once() -> None:
    engine = SlowEngine(0.05)
    with serving(Settings(deadline=0.5, per_client=1000, max_chars=200), engine) as service:
        replies: list[tuple[int, float, str]] = []

        def ask() -> None:
            for _ in range(6):
                began = time.perf_counter()
                reply = service.predict(["涨" * 60] * 20)
                replies.append((reply.status, time.perf_counter() - began, reply.headers.get("retry-after", "")))

        threads = [threading.Thread(target=ask) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = {status for status, _, _ in replies}
        assert statuses == {200, 503}
        assert all(seconds < 20 for status, seconds, _ in replies if status == 200)
        assert all(int(after) >= 1 for status, _, after in replies if status == 503)
        until(lambda: service.predict("涨").status == 200)


def test_a_deadline_ends_the_wait() -> None:
    engine = SlowEngine()
    with serving(Settings(deadline=0.3), engine) as service:
        engine.gate.clear()
        began = time.perf_counter()
        reply = service.predict("涨")
        assert reply.status == 503
        assert reply.json()["type"] == "urn:finsa:deadline"
        assert 0.25 < time.perf_counter() - began < 60
        engine.gate.set()
        until(lambda: service.predict("涨").status == 200)


def test_what_a_client_left_is_not_begun() -> None:
    import socket

    engine = SlowEngine()
    with serving(Settings(deadline=300, threads=1), engine) as service:
        engine.gate.clear()
        blocker = threading.Thread(target=service.predict, args=("空空",))
        blocker.start()
        until(lambda: engine.held == 1)
        body = json.dumps({"texts": ["升" * 40] * 8}).encode()
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.create_connection(("127.0.0.1", service.port)) as left:
            left.sendall(head.encode() + b"\r\n\r\n" + body)
            until(lambda: service.metric("finsa_queue_texts") == 8)
        until(lambda: service.metric("finsa_in_flight") <= 2)  # the one that blocks, and this question
        engine.shapes.clear()
        engine.gate.set()
        blocker.join()
        assert service.predict("平").status == 200
        assert all(width < 40 for _, width in engine.shapes)


def test_too_many_of_one_address() -> None:
    engine = SlowEngine()
    with serving(Settings(per_client=3, deadline=300, threads=3), engine) as service:
        engine.gate.clear()
        threads = [threading.Thread(target=service.predict, args=("涨",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: engine.held == 3)  # by no question to the service, which would be a fourth
        reply = service.predict("涨")
        assert reply.status == 429
        assert reply.headers["retry-after"] == "1"
        assert service.ask("GET", "/healthz").status == 200
        engine.gate.set()
        for thread in threads:
            thread.join()
        assert service.predict("涨").status == 200


def test_a_bad_model_is_refused_and_the_old_one_stays(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from finsa_moe.errors import ModelError

    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123\n")
    made: list[str] = []

    def load() -> FinSA:
        made.append(f"model {len(made)}")
        if len(made) == 2:
            raise ModelError("the folder is cut short")
        engine = SlowEngine()
        if len(made) == 3:  # answers, but no probabilities
            run = engine.run
            engine.run = lambda *batch: (found := run(*batch))._replace(probs=found.probs * 3)  # type: ignore[method-assign]
        return FinSA(Predictor(engine), {"name": made[-1]})

    with serving(Settings(token_file=str(token)), load=load) as service:
        bear = {"Authorization": "Bearer 0123456789abcdef0123"}

        def name() -> str:
            return str(service.ask("POST", "/v1/predict", {"texts": "涨"}, bear).json()["model"])

        assert service.ask("POST", "/v1/reload").status == 401
        assert service.ask("POST", "/v1/reload", headers={"Authorization": "Bearer 0123456789abcdef0124"}).status == 401
        assert service.ask("GET", "/v1/model").status == service.ask("GET", "/metrics").status == 401
        assert service.ask("GET", "/").status == service.ask("GET", "/healthz").status == 200
        assert name() == "model 0"
        refused = service.ask("POST", "/v1/reload", headers=bear)
        assert refused.status == 409
        assert "cut short" in refused.json()["detail"]
        assert service.ask("POST", "/v1/reload", headers=bear).status == 409
        assert name() == "model 0"
        assert service.ask("POST", "/v1/reload", headers=bear).status == 200
        assert name() == "model 3"


def test_a_model_is_whole_in_memory_before_it_serves() -> None:
    """Its folder may be moved on afterwards, so both engines and every expert are asked at once."""
    asked: list[int] = []

    class Bulk(FakeEngine):
        def run(self, ids, mask, experts):  # type: ignore[no-untyped-def]
            asked.extend([-1] if experts is None else experts.tolist())
            return super().run(ids, mask, experts)

    def load() -> FinSA:
        return FinSA(Predictor(FakeEngine(), bulk=Bulk), {"name": "two engines"})

    shelf = Shelf(load, None)
    assert set(asked) == {-1, 0, 1}
    asked.clear()
    assert shelf.reload().name == "two engines"
    assert set(asked) == {-1, 0, 1}


def test_without_a_token_nobody_reloads() -> None:
    with serving() as service:
        assert service.ask("POST", "/v1/reload").status == 403


def test_a_reload_fails_no_request() -> None:
    """Twenty changes of the model while eight clients ask; each answer is whole and by one model."""
    made: list[int] = []

    def load() -> FinSA:
        made.append(len(made))
        return FinSA(Predictor(SlowEngine(0.002)), {"name": f"model {len(made)}"})

    with serving(Settings(per_client=100), load=load) as service:
        stop, wrong, models = threading.Event(), [], set()

        def ask() -> None:
            while not stop.is_set():
                reply = service.predict(["涨停", "跌停"])
                if reply.status != 200 or len(reply.json()["predictions"]) != 2:
                    wrong.append(reply)
                else:
                    models.add(reply.json()["model"])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            name = service.shelf.reload().name
            until(lambda name=name: wrong or name in models)
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong
        assert len(models) >= 20
        assert service.predict("涨").json()["model"] == "model 21"
