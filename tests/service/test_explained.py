"""How long explanations may take: the deadline for each text, as they are made one after another."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.service.served import Settings, serving


class Told:
    """An explanation of no words."""

    def rounded(self, digits: int) -> Told:
        return self

    def as_dict(self) -> dict[str, Any]:
        return {"words": [], "base": {}, "experts": {}, "exact": True}


@pytest.mark.slow
def test_each_explained_text_has_a_deadline_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finsa_moe.service.app.find_spec", lambda name: object())
    monkeypatch.setattr("finsa_moe.service.app._warm", lambda explains: None)
    with serving(Settings(deadline=2.0)) as service:

        def explain(text: str, domain: str | None, evaluations: int) -> Told:
            time.sleep(1.0)
            return Told()

        service.shelf.served.explain = explain  # type: ignore[assignment, method-assign]
        reply = service.predict(["涨"] * 6, explain=True)  # six seconds of work
        assert reply.status == 200, reply.body
        assert [one["explanation"]["exact"] for one in reply.json()["predictions"]] == [True] * 6
