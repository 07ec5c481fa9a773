"""Run every toolkit's demo and link their reports from one page: `python -m benchmarks.run_demos`.

Each demo writes its own folder under `reports/demo`; the page is `reports/demo/index.html`. Names of toolkits
as arguments run only those.
"""

import html
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports" / "demo"

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Demos</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 50em; padding: 0 1em }}
td, th {{ padding: .3em 1em .3em 0; text-align: left }}</style>
<h1>Demos</h1>
<table><tr><th>Toolkit</th><th>Ended</th><th>Seconds</th><th>Report</th></tr>
{rows}
</table></html>
"""


class Demo(NamedTuple):
    """How one demo ended, and the pages that it wrote."""

    toolkit: str
    exit_code: int
    seconds: float
    pages: list[Path]


def main(names: list[str]) -> int:
    """Run the demos and write the page; 0 when all ended well."""
    toolkits = names or sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
    REPORTS.mkdir(parents=True, exist_ok=True)
    demos = [run_demo(toolkit) for toolkit in toolkits]
    index = REPORTS / "index.html"
    index.write_text(page(demos, REPORTS), encoding="utf-8")
    print(f"\nreport: {index.relative_to(ROOT)}")
    return max((demo.exit_code for demo in demos), default=0)


def run_demo(toolkit: str) -> Demo:
    """Run one toolkit's demo into its folder."""
    print(f"== {toolkit} demo", flush=True)
    out = REPORTS / toolkit
    started = time.monotonic()
    code = subprocess.run([script(toolkit), "demo", "--out", str(out), "--overwrite"], cwd=ROOT).returncode
    return Demo(toolkit, code, time.monotonic() - started, sorted(out.glob("*.html")))


def script(toolkit: str) -> str:
    """The console script beside this interpreter."""
    return str(Path(sys.executable).parent / toolkit)


def page(demos: list[Demo], folder: Path) -> str:
    """The page that links the demos' reports, with paths relative to `folder`."""
    rows = []
    for demo in demos:
        links = " ".join(
            f'<a href="{html.escape(path.relative_to(folder).as_posix())}">{html.escape(path.name)}</a>'
            for path in demo.pages
        )
        ended = "well" if demo.exit_code == 0 else f"with exit code {demo.exit_code}"
        rows.append(
            f"<tr><td>{html.escape(demo.toolkit)}</td><td>{ended}</td>"
            f"<td>{demo.seconds:.0f}</td><td>{links}</td></tr>"
        )
    return PAGE.format(rows="\n".join(rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
