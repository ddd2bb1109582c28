"""The model that ships: there at once, small, offline, what its card says, and in a wheel installed elsewhere."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import finsa_moe
from benchmarks.wheel import build
from finsa_moe import shipped
from tests.behaviour.suite import read_cases, score

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
PLAIN = {
    "澜江重工中标城际铁路项目,合同金额12.6亿元,约占上年营收的三成。": ("利好", "news"),
    "北屿医药因信息披露违规被立案调查,股价开盘跌停。": ("利空", "news"),
    "主力又在砸盘,套了半年了,真想割肉走人": ("利空", "forum"),
    "放量突破前高,拿稳了,这波行情才刚开始!": ("利好", "forum"),
}


@pytest.fixture(scope="module")
def model() -> finsa_moe.FinSA:
    return finsa_moe.load()


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((shipped.model() / "card.json").read_text(encoding="utf-8"))


def test_it_answers_plain_texts_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    answers = finsa_moe.load().predict(list(PLAIN))
    assert [(answer.sentiment, answer.expert) for answer in answers] == list(PLAIN.values())


def test_it_is_small_and_whole() -> None:
    folder = shipped.model()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    named = {part["file"] for graphs in config["graphs"].values() for part in (graphs["trunk"], *graphs["experts"])}
    named |= {config[part]["file"] for part in ("tokenizer", "novelty", "router_ngrams")}
    named |= {table["file"] for table in config["ngrams"]}
    assert {file.name for file in folder.iterdir()} == named | {"config.json", "export.json", "card.json", "README.md"}
    assert sum(file.stat().st_size for file in folder.iterdir()) < 40e6


def test_growth_and_decline_turn_the_answer_round(model: finsa_moe.FinSA) -> None:
    for text in ("公司上半年净利润同比{}三成", "前三季度营业收入同比{}两成多", "扣非净利润同比{}近一半"):
        up, down = model.predict([text.format("增长"), text.format("下降")])
        assert (up.sentiment, down.sentiment) == ("利好", "利空"), text


def test_the_suite_is_passed_as_the_card_says(model: finsa_moe.FinSA, card: dict) -> None:
    """A change of the runtime that moved answers would show here; engines may differ by a few cases."""
    result = score(read_cases(), lambda texts: [answer.sentiment for answer in model.predict(texts)])
    said = card["examined"]["behaviour"]
    assert result.rate() == pytest.approx(said["overall"], abs=0.02), result.table()
    for skill, rate in result.by_skill().items():
        assert rate == pytest.approx(said["by_skill"][skill], abs=0.1), skill


def test_the_card_is_on_the_model_and_its_page_bears_its_numbers(model: finsa_moe.FinSA, card: dict) -> None:
    assert model.card["dev"] == card["dev"]
    page = (shipped.model() / "README.md").read_text(encoding="utf-8")
    for found in card["dev"].values():
        assert f"**{100 * found['routed']['macro_f1']:.1f}**" in page
    assert (ROOT / "models" / "default" / "README.md").read_text(encoding="utf-8") == page


def small_installation() -> set[str]:
    """Names of the distributions that `pip install finsa-moe[fast]` brings, itself among them."""
    found, left = set(), ["finsa-moe"]
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found.add(name)
            asked = map(Requirement, metadata.requires(name) or ())
            left += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": "fast"})]
    return {str(name) for name in found}


def test_it_answers_where_no_other_extra_than_fast_is_installed() -> None:
    script = (
        "import sys\nfrom importlib import metadata\n"
        f"base, owners = {small_installation()!r}, metadata.packages_distributions()\n"
        "class Absent:\n"
        "    def find_spec(self, name, *rest):\n"
        "        owned = {one.lower().replace('_', '-') for one in owners.get(name.partition('.')[0], base)}\n"
        "        if not owned & base:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from finsa_moe.cli import main\n"
        "sys.exit(main(['predict', '股价开盘跌停']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("利空")


@pytest.mark.skipif(not (DATA / "news" / "train.csv").is_file(), reason="../shared/data is not there")
def test_no_text_that_it_learnt_is_later_than_the_day_it_is_said_to_have_learnt_until() -> None:
    """An index of later days does not look ahead: `finsa index` warns by this day."""
    learnt = ("news/train", "other/announcement_weak_binary")  # those that say their days; the others are older sets
    days = []
    for name in learnt:
        with (DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            days += [row["date"] for row in csv.DictReader(file)]
    assert max(days) == shipped.TRAINED_UNTIL


@pytest.mark.slow
def test_it_travels_in_the_wheel(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(tmp_path)) as archive:
        archive.extractall(tmp_path / "site")
        names = {Path(name).name for name in archive.namelist() if "/assets/default/" in name}
    assert names == {file.name for file in shipped.model().iterdir()}
    ask = "import finsa_moe; print(finsa_moe.__file__); print(finsa_moe.load().predict('股价开盘跌停').sentiment)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8"
    )
    where, said = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path / "site"), done.stderr
    assert said == "利空"
