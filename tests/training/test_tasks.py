"""Tasks that nothing can be learnt from or chosen by are refused before training."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from finsa_moe.errors import ConfigError, DataError
from finsa_moe.polarity import ENGLISH
from finsa_moe.training.tasks import read_tasks

ANSWERS = ["text", *ENGLISH]


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.mark.parametrize("share", ["nan", "NaN", "inf", "-inf"])
def test_a_share_that_is_not_finite_is_no_share(share: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ANSWERS, [["涨", "0.1", "0.2", "0.7"], ["跌", share, "0.5", "0.5"]])
    with pytest.raises(DataError, match=r"a\.csv: row 2: the shares .* do not sum to 1"):
        read_tasks({}, {"x": file})


def test_a_task_needs_rows_to_learn_from_and_to_choose_by(tmp_path: Path) -> None:
    rows = [["央行宣布降准五十个基点", "好"], ["多家上市公司被立案调查", "坏"], ["大盘缩量横盘整理等待方向", "好"]]
    train = write(tmp_path / "d" / "train.csv", ["text", "label"], rows)
    valid = write(tmp_path / "d" / "valid.csv", ["text", "label"], [])
    with pytest.raises(DataError, match=r"d/valid\.csv: no rows to choose the checkpoint by; add some"):
        read_tasks({"x": train.parent}, {})
    write(valid, ["text", "label"], [["城投债收益率继续下行创新低", "好"]])
    assert len(read_tasks({"x": train.parent}, {})[0].valid) == 1
    with pytest.raises(DataError, match=r"d/valid\.csv: no rows to choose the checkpoint by, 1 near to held-out texts"):
        read_tasks({"x": train.parent}, {}, held_out=["城投债收益率继续下行创新低"])
    one = write(tmp_path / "one.csv", ANSWERS, [["央行宣布降准五十个基点", "0.1", "0.2", "0.7"]])
    with pytest.raises(DataError, match=r"one\.csv: 1 of 1 rows can be used.*; a task needs two at least"):
        read_tasks({}, {"x": one})
    with pytest.raises(DataError, match=r"one\.csv: 0 of 1 rows can be used.*; a task needs two at least"):
        read_tasks({}, {"x": one}, held_out=["央行宣布降准五十个基点"])


def test_two_tasks_of_one_name_are_refused(tmp_path: Path) -> None:
    hard = write(tmp_path / "hard.csv", ["text", "label"], [["涨", "好"], ["跌", "坏"]])
    soft = write(tmp_path / "soft.csv", ANSWERS, [["涨", "0.1", "0.2", "0.7"], ["跌", "0.7", "0.2", "0.1"]])
    with pytest.raises(ConfigError, match="task 'x' is named by --task and by --soft; give each a name of its own"):
        read_tasks({"x": hard, "y": hard}, {"x": soft})
