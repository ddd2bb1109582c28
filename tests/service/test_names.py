"""What a file is called by its owner, in the answer's header: whatever it is, the answer comes and nothing stays behind."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from finsa_moe.service.spool import shown_as
from tests.service.served import Service, until

CSV = {"Content-Type": "text/csv"}
NAMES = [
    "posts.answers - 副本.csv",
    "帖子.answers.csv",
    ".answers副本.csv",
    "answers.csv",
    "a.answers.b.answers.csv",
    "副.本.csv",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_keeps_the_next_file_out(service: Service, spool: Path, name: str) -> None:
    for called in (name, name, "plain.csv"):
        reply = service.ask("POST", f"/v1/predict/file?name={quote(called)}", "text\n涨\n".encode(), CSV)
        assert reply.status == 200, reply.body
        until(lambda: not list(spool.iterdir()))  # it is given back just after the last byte


def test_an_answer_that_is_not_begun_gives_back_its_file(
    service: Service, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("as tried")

    for broken in ("shown_as", "_stream"):
        with monkeypatch.context() as patch:
            patch.setattr(f"finsa_moe.service.files.{broken}", failing)
            assert service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV).status == 500
    assert service.ask("POST", "/v1/predict/file", "text\n涨\n".encode(), CSV).status == 200
    until(lambda: not list(spool.iterdir()))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("posts.answers.csv", "posts.answers.csv"),
        ("帖子.answers.csv", "texts.answers.csv"),
        ("posts.answers_副本.answers.csv", "posts.answers.answers.csv"),
        ("answers.answers.tsv", "answers.answers.tsv"),
    ],
)
def test_a_name_that_is_not_ascii_is_sent_whole_beside_what_old_clients_read(name: str, plain: str) -> None:
    shown = shown_as(name)["Content-Disposition"]
    shown.encode("ascii")
    first, _, more = shown.partition("; filename*=UTF-8''")
    assert first == f'attachment; filename="{plain}"'
    assert unquote(more) == ("" if name.isascii() else name)
