"""Render `benchmarks/REPORT.md` from `benchmarks/results`: `python -m benchmarks.render_report`."""

import sys
from pathlib import Path

from toolkit_shared.artifacts import write_text
from toolkit_shared.report import render_report
from toolkit_shared.results import read_results

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Render the report; the same results give the same bytes."""
    write_text(HERE / "REPORT.md", render_report(read_results(HERE / "results")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
