"""The rows an export is proved and fitted on."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from finsa_moe import shipped
from finsa_moe.data.encode import Encoded
from finsa_moe.errors import DataError
from finsa_moe.export.export import export_mixture
from finsa_moe.export.rows import (
    PROVED,
    PROVED_EACH,
    UNKNOWN,
    Texts,
    by_expert,
    fitting,
    held_out,
    samples,
    topped_up,
    training,
    with_samples,
)
from finsa_moe.export.states import examples


def rows(*counts: int) -> Texts:
    """So many texts of each domain, one domain after the other."""
    domains = [domain for domain, count in enumerate(counts) for _ in range(count)]
    return Texts(
        [f"{domain} {at}" for at, domain in enumerate(domains)], [1] * len(domains), domains, [""] * len(domains)
    )


def test_rows_of_every_domain_topped_up_to_a_thousand(prepared: Mapping[str, Path]) -> None:
    known = held_out({"news": prepared["news"], "forum": prepared["forum"]}, ("news", "forum"))
    assert (len(known), known.domains.count(0), known.domains.count(1)) == (48, 24, 24)
    seen = training({"news": prepared["news"]}, ("news", "forum"), most=10)
    assert len(seen) == 10
    full = topped_up(known, seen, 2)
    assert len(full) == PROVED
    assert full.texts[:58] == known.texts + seen.texts
    assert set(full.labels[48:]) == {UNKNOWN}
    assert len(known) == 48
    with pytest.raises(DataError, match="no expert weibo"):
        held_out({"weibo": prepared["news"]}, ("news", "forum"))


def test_spare_rows_are_taken_from_all_domains_and_samples_where_these_are_few() -> None:
    full = topped_up(rows(10, 10, 0), rows(3000, 3000, 100), 3)
    counts = Counter(full.domains)
    assert (counts[0], counts[1], counts[2], counts[UNKNOWN]) == (450, 450, 100, 300)
    assert [len(at) for at in by_expert(full, 3)] == [450, 450, PROVED_EACH]
    assert set(full.labels[20:]) == {UNKNOWN}
    many = topped_up(rows(2000, 0), Texts(), 2)
    assert Counter(many.domains) == {0: 2000, UNKNOWN: PROVED_EACH}
    assert [len(at) for at in by_expert(many, 2)] == [2000, PROVED_EACH]
    kinds = Counter(place.partition(" ")[0] for place in many.places[2000:])
    assert min(kinds["news.csv"], kinds["forum.csv"]) > PROVED_EACH // 3, "of both samples"
    enough = topped_up(rows(700, 500), rows(9, 9), 2)
    assert len(enough) == 1200


def test_temperatures_are_fitted_on_validation_rows_and_on_test_rows_where_those_are_too_few(
    prepared: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("finsa_moe.export.rows.FEWEST", 12)
    folders = {"news": prepared["news"], "forum": tmp_path / "forum"}
    shutil.copytree(prepared["forum"], folders["forum"])
    found, tested = fitting(folders, ("news", "forum"))
    assert (len(found), tested) == (24, ())
    assert {place.partition(" ")[0] for place in found.places} == {"valid.csv"}
    (folders["forum"] / "valid.csv").write_text("id,text,label\n", encoding="utf-8")
    found, tested = fitting(folders, ("news", "forum"))
    assert (len(found.of(0)), len(found.of(1)), tested) == (12, 12, ("forum",))
    assert {found.places[at].partition(" ")[0] for at in found.of(1).tolist()} == {"test.csv"}
    monkeypatch.setattr("finsa_moe.export.rows.FEWEST", 13)  # one more than the news has to choose by
    found, tested = fitting(folders, ("news", "forum"))
    assert (len(found.of(0)), len(found.of(1)), tested) == (24, 12, ("news", "forum"))


@pytest.mark.parametrize("keep", [False, True])
def test_what_test_rows_are_fitted_on_is_said(keep: bool, prepared: Mapping[str, Path], tmp_path: Path) -> None:
    class SaidError(Exception):
        pass

    def say(line: str) -> None:
        if line.startswith("fewer"):
            raise SaidError(line)

    data = {name: prepared[name] for name in ("news", "forum")}
    fitted = "novelty is" if keep else "novelty and, from 50 rows on, temperatures are"
    with pytest.raises(SaidError, match=f"^fewer than 50 validation rows of news, forum: {fitted} fitted on the test"):
        export_mixture(
            shipped.weights("backbone").parent, tmp_path / "out", data=data, earlier=shipped.model(), keep=keep, say=say
        )  # fmt: skip


def test_eight_bits_of_an_expert_without_rows_are_measured_on_the_samples() -> None:
    """Those of another domain would set its ranges."""
    texts = with_samples(rows(0, 40), 2)
    assert len(texts) == 40 + len(samples())
    whole = rows(5, 40)
    assert with_samples(whole, 2) is whole
    shown: list[str] = []

    def encode(asked: list[str]) -> list[Encoded]:
        shown.append(asked[0])
        return [Encoded([1, 2, 3], False) for _ in asked]

    engine = SimpleNamespace(encode=encode, domains=("news", "forum"), pad_id=0, max_length=9)
    examples(engine, lambda ids, mask: (torch.zeros(*ids.shape, 4),), texts)  # type: ignore[arg-type]
    assert shown == ["1 0", samples().texts[0], "1 0"]
