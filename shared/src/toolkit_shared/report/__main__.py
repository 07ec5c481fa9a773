"""Render the report: `python -m toolkit_shared.report benchmarks/results benchmarks/REPORT.md`."""

import sys

from toolkit_shared.errors import InputError
from toolkit_shared.report.results_report import write_report


def main(arguments: list[str]) -> int:
    """Render the results in the first path to the second; 0, or 2 for wrong input."""
    if len(arguments) != 2:
        print("usage: python -m toolkit_shared.report RESULTS REPORT.md", file=sys.stderr)
        return 2
    try:
        print(f"wrote {write_report(*arguments)}")
    except InputError as error:
        print(f"report: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
