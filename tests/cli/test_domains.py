from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from finsa_moe.cli import main
from finsa_moe.export.export import export_mixture
from finsa_moe.export.known import Known
from finsa_moe.face import load
from finsa_moe.judging import grown
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
    words = ["add-domain", str(source), "notices", str(data), "--out", str(tmp_path / "o"), "--no-export"]
    assert main([*words, *checks, *FAST]) == 0
    said = capsys.readouterr()
    for domain in DOMAINS:
        assert re.search(rf"{domain} +│ +[\d.]+ % +│ +[\d.]+ % +│ +12 +│ +[\d.]+ % +│ +[\d.]+ +│ +[\d.]+", said.out), (
            said.out
        )
    assert re.search(r"notices +│ +- +│ +[\d.]+ % +│ +12 ", said.out), said.out
    assert "starting from" in said.err
    assert "on 12 rows of test.csv" in said.out
    for who in (
        "the new expert, notices",
        "the best old expert, (news|forum)",
        r"TF-IDF \(SVM\) of the same 24 training rows",
    ):
        assert re.search(rf"{who} +│ +[\d.]+ +│", said.out), said.out
    moe = str(tmp_path / "o" / "moe")
    assert main(["remove-domain", moe, "notices", "--out", str(tmp_path / "r"), "--no-export"]) == 0
    assert not (tmp_path / "r" / "runtime").exists()
    for file in ("metrics.json", "config.yaml"):
        assert (tmp_path / "r" / "moe" / file).read_bytes() == (source / file).read_bytes()
    assert f"written to {tmp_path / 'r' / 'moe'}: {', '.join(DOMAINS)}" in capsys.readouterr().out


def test_what_is_told_of_the_old_domains(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """How to get a score that cannot be told, without training again; and which domain moved by more than 0.3 points."""
    source, out = trained("modernbert").joint, tmp_path / "o"
    words = ["add-domain", str(source), "notices", str(prepared["notices"]), "--out", str(out), *FAST]
    assert main([*words, "--no-export", "--check", f"news={prepared['news'] / 'test.csv'}"]) == 0
    told = next(line for line in capsys.readouterr().err.splitlines() if "cannot be told" in line)
    assert told.startswith("macro-F1 of forum cannot be told without labelled rows; for it, the same command with ")
    options = re.findall(r"--\S+(?: forum=FILE)?", told)
    assert options == ["--resume", "--no-export", "--check forum=FILE"]
    filled = [word.replace("FILE", str(prepared["forum"] / "test.csv")) for one in options for word in one.split()]
    before = (out / "moe" / "model.safetensors").stat().st_mtime_ns
    assert main([*words, *filled]) == 0
    assert re.search(
        r"forum +│ +[\d.]+ % +│ +[\d.]+ % +│ +12 +│ +[\d.]+ % +│ +[\d.]+ +│ +[\d.]+", capsys.readouterr().out
    )
    assert (out / "moe" / "model.safetensors").stat().st_mtime_ns == before

    moved = {
        "news": grown.Moved(1400, 80.1, 79.75, 0.9),
        "forum": grown.Moved(900, 70.0, 70.3, 0.9),
        "notices": grown.Moved(9, 1, 90, 0.9),
    }
    monkeypatch.setattr(grown, "scores", lambda *_: moved)
    assert main([*words, *filled]) == 0
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "warning" in line)
    assert line.startswith(
        "warning: routed macro-F1 of news moved by -0.35 points, from 80.10 to 79.75 on 1,400 rows, more than 0.3;"
    )
    monkeypatch.setattr(grown, "scores", lambda *_: {**moved, "forum": grown.Moved(900, 70.0, 70.31, 0.9)})
    assert main([*words, *filled]) == 0
    assert "of forum moved by +0.31 points" in capsys.readouterr().err
    monkeypatch.setattr(grown, "scores", lambda *_: {**moved, "news": grown.Moved(9, 80, 80, 0.1)})
    assert main([*words, *filled]) == 0  # of an old domain's texts the old router has always sent some elsewhere
    assert "warning" not in capsys.readouterr().err
    monkeypatch.setattr(grown, "scores", lambda *_: {**moved, "notices": grown.Moved(700, 60, 61, 0.2)})
    assert main([*words, *filled]) == 0
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        "warning: 20 % of 700 held-out texts of notices go to its own expert, the others to old ones"
    )
    assert "say --domain notices" in line
    assert "a larger --set taken=SHARE (it is 0.001)" in line


def test_mistakes_end_in_one_line(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, data = str(trained("modernbert").joint), str(prepared["notices"])
    odd = tmp_path / "odd.csv"
    odd.write_text("text,label\n涨,利好\n跌,坏\n", encoding="utf-8")
    for words, expected in (
        (["add-domain", source, "news", data], "has an expert news already"),
        (["add-domain", source, "notices", str(tmp_path)], "train.csv: missing; make the folder with: finsa prepare"),
        (["add-domain", source, "notices", data, "--set", "start=sports"], "allowed are best, fresh, "),
        (
            ["add-domain", source, "notices", data, "--check", "posts=x.csv"],
            "no domain posts; allowed are news, forum, notices",
        ),
        (["add-domain", source, "notices", data, "--check", "news=none.csv"], "none.csv: no such file"),
        (["add-domain", source, "notices", data, "--check", f"news={odd}"], "odd.csv, line 3: "),
        (["remove-domain", source, "notices"], "has no expert notices; it has "),
    ):
        assert main([*words, "--out", str(tmp_path / "o")]) == 2
        said = capsys.readouterr().err
        assert expected in said.splitlines()[-1], said
    assert not (tmp_path / "o").exists()


def test_every_file_in_the_user_s_own_words(
    trained: Callable[[str], Trained], prepared: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, checks, replayed and held-out texts; the one that has the usual name is read by that."""
    files = {name: tmp_path / f"{name}.csv" for name in ("news", "forum", "train", "valid")}
    sources = [prepared["news"], prepared["forum"], prepared["notices"], prepared["notices"]]
    for (name, file), folder in zip(files.items(), sources, strict=True):
        rows = (folder / f"{name if name in ('train', 'valid') else 'test'}.csv").read_text(encoding="utf-8-sig")
        file.write_text(rows.replace("text", "headline", 1).replace("label", "mark", 1), encoding="utf-8")
    out = tmp_path / "o"
    words = [
        "add-domain", str(trained("modernbert").joint), "notices", str(tmp_path), "--out", str(out), "--no-export",
        "--text", "headline", "--label", "mark", "--check", f"news={files['news']}",
        "--check", f"forum={prepared['forum'] / 'test.csv'}", "--replay", f"news={files['news']}",
        "--replay", f"forum={files['forum']}", "--hold-out", str(prepared["news"] / "valid.csv"), *FAST,
    ]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr().out
    for domain in DOMAINS:
        assert re.search(rf"{domain} +│ +[\d.]+ % +│ +[\d.]+ % +│ +12 ", said), said


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
    assert main(["remove-domain", str(tmp_path / "o" / "moe"), "notices", "--out", str(tmp_path / "r")]) == 0
    back = json.loads((tmp_path / "r" / "runtime" / CONFIG).read_text(encoding="utf-8"))
    assert (back["domains"], back["temperatures"]) == (list(DOMAINS), [1.25, 0.75])
    first, last = Known.load(tmp_path / "m" / "runtime"), Known.load(tmp_path / "r" / "runtime")
    assert first is not None
    assert last is not None
    assert last.domains == DOMAINS
    assert np.array_equal(first.counts, last.counts)
