from __future__ import annotations

import sys

import pytest

from finsa_moe.cli.progress import Bar


@pytest.mark.parametrize(
    ("ends", "hidden", "told"),
    [(True, False, ("comparing", "50%", "12 a second")), (False, False, ("comparing", "0:00:00")), (True, True, ())],
)
def test_a_person_sees_how_far_it_is_and_a_pipe_gets_nothing(
    ends: bool, hidden: bool, told: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for looks in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda looks=looks: looks)
        with Bar(ends=ends, hidden=hidden) as bar:
            bar.show("comparing", 3, 6 if ends else None, "12 a second")
        out, err = capsys.readouterr()
        assert not out
        assert bool(err) == bool(looks and told)
    assert all(word in err for word in told)


def test_the_next_step_begins_anew_and_names_are_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bar that had come to its end keeps the time of its end, and a name in brackets was markup."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Bar() as bar:
        bar.show("reading", 5, 5)
        assert bar._progress.tasks[0].finished
        bar.show("comparing a[/b].csv", 1, 5)
        assert not bar._progress.tasks[0].finished
        assert bar._progress.tasks[0].completed == 1
    assert "comparing a[/b].csv" in capsys.readouterr().err
