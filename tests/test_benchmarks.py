"""What the benchmarks keep: of which state of the model, of which texts, and where."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from benchmarks import __main__ as whole
from benchmarks import index, measure, serve

ROOT = Path(__file__).parents[1]


def test_a_result_names_the_model_and_is_mixed_where_parts_are_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    now = measure.mark(measure.shipped.model())
    assert json.loads(measure.keep("one", {"x": 1}).read_text())["model"] == now
    again = measure.kept("one")
    assert json.loads(measure.keep("one", again | {"y": 2}).read_text())["model"] == now
    older = json.loads(measure.keep("one", again | {"model": "0123456789ab"}).read_text())
    assert older["model"] == "of several states"


def test_parts_of_another_state_are_kept_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*only: str) -> dict[str, object]:
        monkeypatch.setattr(sys, "argv", ["serve", "--only", *only])
        serve.main()
        return json.loads((tmp_path / "serve.json").read_text())

    for module in (measure, serve):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    for name in serve.PARTS:
        monkeypatch.setattr(serve, name, lambda *_: {"x": 2})
    monkeypatch.setattr(serve.subjects, "texts", list)
    monkeypatch.setattr(serve.subjects, "source", lambda: "packaged sample")
    now, old = measure.mark(measure.shipped.model()), {"texts_of": "dev files", "x": 1}
    for model in ("0123456789ab", now):
        kept = {"machine": {}, "model": model, "many": old, "reload": old}
        (tmp_path / "serve.json").write_text(json.dumps(kept))
        mixed = measured("many")
        assert mixed["model"] == (now if model == now else "of several states")
        assert (mixed["many"], mixed["reload"]) == ({"texts_of": "packaged sample", "x": 2}, old)
    assert measured(*serve.PARTS)["model"] == now


def test_a_mark_is_of_configuration_and_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("")
    marks = [measure.mark(tmp_path)]
    for file, moved in (("README.md", False), ("config.json", True), ("model.safetensors", True)):
        (tmp_path / file).write_text(f"[{len(marks)}]")
        assert (measure.mark(tmp_path) != marks[-1]) is moved
        marks.append(measure.mark(tmp_path))


def test_what_a_machine_lacks_is_passed_over_and_tracked_results_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def run(command: list[str], env: dict[str, str], check: bool) -> SimpleNamespace:
        asked.append(env["FINSA_BENCH_RESULTS"])
        return SimpleNamespace(returncode={"benchmarks.active": measure.PASSED_OVER}.get(command[-1], failing(command)))

    def failing(command: list[str]) -> int:
        return int(command[-1] in fails)

    fails: set[str] = set()
    monkeypatch.setattr(whole.subprocess, "run", run)
    assert whole.main() == 0
    assert "passed over: active" in capsys.readouterr().out
    assert len(asked) == len(whole.NAMES)
    assert set(asked) == {"work/bench/results"}
    fails.add("benchmarks.bulk")
    assert whole.main() == 1
    assert "failed: bulk" in capsys.readouterr().err


def test_a_benchmark_without_its_data_says_so_by_its_status(tmp_path: Path) -> None:
    ask = f"from benchmarks import measure; from pathlib import Path; measure.need(Path({str(tmp_path / 'none')!r}))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == measure.PASSED_OVER
    assert "no such folder" in done.stderr


def test_a_killed_writer_leaves_no_half_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: pl.DataFrame, file: Path) -> None:
        file.write_bytes(b"PAR1")
        raise KeyboardInterrupt

    monkeypatch.setattr(index, "WORK", tmp_path)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", killed)
    with pytest.raises(KeyboardInterrupt):
        index.write(10)
    assert list((tmp_path / "10").iterdir()) == []


def test_an_export_is_of_the_mixture_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import subjects

    def exported(_: Path, out: Path, **options: object) -> None:
        out.mkdir(parents=True)
        (out / "config.json").write_text("{}")

    mixture = tmp_path / "mixture"
    mixture.mkdir()
    (mixture / "config.json").write_text("{}")
    monkeypatch.setattr(subjects, "WORK", tmp_path / "work")
    monkeypatch.setattr(subjects, "mixture", lambda: mixture)
    monkeypatch.setattr(subjects, "export_mixture", exported)
    first = subjects.exported("bf16")
    assert subjects.exported("bf16") == first
    (mixture / "model.safetensors").write_bytes(b"other weights")
    assert subjects.exported("bf16") != first


def test_texts_say_whether_they_are_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import subjects

    monkeypatch.setattr(subjects, "DEV", {domain: [tmp_path / f"{domain}.csv"] for domain in ("news", "forum")})
    assert subjects.source() == "packaged sample"
    assert len(subjects.texts(3)) == 6
    for domain in ("news", "forum"):
        (tmp_path / f"{domain}.csv").write_text(f"text\n{domain}里的一条\n", encoding="utf-8")
    assert subjects.source() == "dev files"
    assert subjects.texts(2) == ["news里的一条", "news里的一条 1", "forum里的一条", "forum里的一条 1"]
