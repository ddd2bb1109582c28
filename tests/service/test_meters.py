"""Counts of several workers in one folder, where one of them dies."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra serve is not installed")

from finsa_moe.service.meters import Meters


def worker(folder: Path, code: str) -> str:
    """What a process prints that shares the folder's counts."""
    code = "import os\nfrom finsa_moe.service.meters import Meters\nmeters = Meters()\n" + code
    more = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | more, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_time_of_answers_is_not_that_of_refusals_and_explanations() -> None:
    meters = Meters()
    for status, explained in ((200, False), (200, True), (503, False), (503, True), (499, False), (304, False)):
        meters.begin()
        meters.end("/v1/predict", status, 1.0, explained=explained)
    told = meters.exposition().decode()
    counts = re.findall(r'^finsa_request_seconds_count\{route="(\S+)"\} (\S+)$', told, re.MULTILINE)
    assert sorted(counts) == [("/v1/predict", "2.0"), ("/v1/predict?explain", "1.0")]
    assert 'finsa_requests_total{route="/v1/predict",status="503"} 2.0' in told
    assert "finsa_in_flight 0.0" in told


def test_a_dead_workers_model_is_in_service_no_more(tmp_path: Path) -> None:
    first = worker(tmp_path, "meters.model('old')\nmeters.reloaded(done=True)\nprint(os.getpid())")
    told = worker(
        tmp_path,
        "from prometheus_client import multiprocess\n"
        f"multiprocess.mark_process_dead({int(first)})\n"
        "meters.model('new')\nmeters.reloaded(done=True)\nprint(meters.exposition().decode())",
    )
    loaded = re.findall(r'^finsa_model_loaded\{model="(\w+)"\} (\S+)$', told, re.MULTILINE)
    assert [name for name, value in loaded if float(value) == 1] == ["new"]
    assert 'finsa_reloads_total{outcome="done"} 2.0' in told  # what was counted stays
