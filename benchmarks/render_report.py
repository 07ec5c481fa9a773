"""Render `benchmarks/REPORT.md` and its pictures from the results: `python -m benchmarks.render_report`."""

import sys
from pathlib import Path

from toolkit_shared.errors import InputError
from toolkit_shared.report import write_report

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Render the report; the same results give the same bytes."""
    try:
        print(f"wrote {write_report(HERE / 'results', HERE / 'REPORT.md')}")
    except InputError as error:
        print(f"report: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
