"""Progress: lines by hand calculation, and silence where nobody looks."""

import io
import logging
import sys

import pytest
from toolkit_shared import progress
from toolkit_shared.progress import progress_bar, progress_line


def test_line_holds_done_total_rate_and_time_left() -> None:
    # 1,500 of 9,000 in 60 s: 25 a second, so 7,500 more take 300 s
    line = progress_line("tokenise", "documents", 1500, 9000, 60.0)

    assert line == "tokenise: 1,500 of 9,000 documents, 25.0 documents/s, 0:05:00 left"


def test_line_without_total_promises_no_end() -> None:
    assert progress_line("scan", "rows", 10, None, 4.0) == "scan: 10 rows, 2.5 rows/s"


def test_line_of_work_not_begun_promises_no_end() -> None:
    assert progress_line("scan", "rows", 0, 10, 4.0) == "scan: 0 of 10 rows, 0.0 rows/s"


def test_more_than_the_total_leaves_no_negative_time() -> None:
    assert progress_line("scan", "rows", 12, 10, 4.0).endswith("0:00:00 left")


def test_away_from_a_terminal_a_line_comes_every_thirty_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # given a clock that gains 12 s a look, so that lines are due at the looks 36, 72, 108
    now = iter(range(0, 1000, 12))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    caplog.set_level(logging.INFO, logger="toolkit_shared.progress")

    with progress_bar(20, "read", "files") as advance:
        for _ in range(10):
            advance(2)

    assert [record.message for record in caplog.records] == [
        "read: 6 of 20 files, 6.0 s each, 0:01:24 left",
        "read: 12 of 20 files, 6.0 s each, 0:00:48 left",
        "read: 18 of 20 files, 6.0 s each, 0:00:12 left",
    ]


def test_on_a_terminal_a_bar_goes_to_stderr_and_stdout_stays_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    with progress_bar(4, "read", "files") as advance:
        advance(3)
        advance(1)

    assert "read: 100%" in screen.getvalue()
    assert capsys.readouterr().out == ""


def test_an_error_inside_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), progress_bar(1, "read", "files"):
        raise ZeroDivisionError
