"""The JSON Schema of result files: `python -m toolkit_shared.results benchmarks/results/schema.json`."""

import sys

from toolkit_shared.artifacts import write_json
from toolkit_shared.results.files import result_schema


def main(arguments: list[str]) -> int:
    """Write the schema to the one path given."""
    if len(arguments) != 1:
        print("usage: python -m toolkit_shared.results SCHEMA.json", file=sys.stderr)
        return 2
    write_json(arguments[0], result_schema())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
