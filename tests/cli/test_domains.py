from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from finsa_moe.cli import main
from finsa_moe.export.export import export_mixture
from finsa_moe.export.known import Known
from finsa_moe.face import load
from finsa_moe.runtime.folder import CONFIG
from tests.conftest import DOMAINS, Trained

pytestmark = pytest.mark.usefixtures("one_thread")
FAST = [
    part
    for setting in ("epochs=2", "batch_size=8", "warmup_steps=1", "router_steps=60", "bf16=false", "trackers=none")
    for part in ("--set", setting)
]


def test_added_and_removed_from_the_command_line(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, data = trained("modernbert").joint, prepared["notices"]
    checks = [part for domain in DOMAINS for part in ("--check", f"{domain}={prepared[domain] / 'test.csv'}")]
    assert (
        main(
            [
                "add-domain",
                str(source),
                "notices",
                str(data),
                "--out",
                str(tmp_path / "o"),
                "--no-export",
                *checks,
                *FAST,
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    for domain in DOMAINS:
        assert re.search(rf"{domain} +│ +[\d.]+ % +│ +[\d.]+ % +│ +12 +│ +[\d.]+ +│ +[\d.]+", said.out), said.out
    assert re.search(r"notices +│ +- +│ +[\d.]+ % +│ +12 ", said.out), said.out
    assert "starting from" in said.err
    assert main(["remove-domain", str(tmp_path / "o" / "moe"), "notices", "--out", str(tmp_path / "r")]) == 0
    assert f"written to {tmp_path / 'r' / 'moe'}: {', '.join(DOMAINS)}" in capsys.readouterr().out


def test_mistakes_end_in_one_line(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, data = str(trained("modernbert").joint), str(prepared["notices"])
    for words, expected in (
        (["add-domain", source, "news", data], "has an expert news already"),
        (["add-domain", source, "notices", str(tmp_path)], "train.csv: missing; make the folder with: finsa prepare"),
        (["add-domain", source, "notices", data, "--set", "start=sports"], "allowed are best, fresh, "),
        (["remove-domain", source, "notices"], "has no expert notices; it has "),
    ):
        assert main([*words, "--out", str(tmp_path / "o")]) == 2
        said = capsys.readouterr().err
        assert expected in said.splitlines()[-1], said
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False])
def test_the_old_experts_keep_their_temperatures_and_what_is_known(
    beside: bool, trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Where no labelled rows of an old domain are at hand, what the mixture's own export found stands."""
    source = tmp_path / "m" / "moe"
    shutil.copytree(trained("modernbert").joint, source)
    (source / "metrics.json").unlink()  # names the folders it was trained on
    if beside:
        data = {domain: prepared[domain] for domain in DOMAINS}
        export_mixture(source, tmp_path / "m" / "runtime", precisions=("fp32",), data=data)
        place = tmp_path / "m" / "runtime" / CONFIG
        kept = json.loads(place.read_text(encoding="utf-8"))
        kept["temperatures"] = [1.25, 0.75]
        place.write_text(json.dumps(kept), encoding="utf-8")
    words = ["add-domain", str(source), "notices", str(prepared["notices"]), "--out", str(tmp_path / "o"), *FAST]
    assert main(words) == 0
    found = json.loads((tmp_path / "o" / "runtime" / CONFIG).read_text(encoding="utf-8"))
    assert found["temperatures"] == ([1.25, 0.75, 1.0] if beside else [1.0, 1.0, 1.0])
    known = Known.load(tmp_path / "o" / "runtime")
    if not beside:
        assert found["novelty"] is None
        assert known is None
        return
    assert found["novelty"]
    assert known is not None
    assert known.domains == (*DOMAINS, "notices")
    assert known.rows.tolist() == [24, 24, 24]
    texts = ["公司净利润同比下降六成", "放量突破前高,拿稳了"]
    mixture, exported = load(tmp_path / "o" / "moe"), load(tmp_path / "o" / "runtime")
    assert [a.sentiment for a in mixture.predict(texts)] == [a.sentiment for a in exported.predict(texts)]
    ours = load(tmp_path / "o" / "runtime").predict(["北屿医药公告股价跌停", "def main(): return 42 # TODO"])
    assert ours[0].novelty < ours[1].novelty
