"""The READMEs' code blocks run as they stand: bash and python, in order, in one empty folder a README.

A comment on the line before a block changes that: `<!-- not run: REASON -->` leaves the block out, and
`<!-- slow: REASON -->` runs it in `make test-slow` only.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workspace import ROOT, SOURCES, TOOLKITS, write_script

READMES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "shared" / "README.md",
    ROOT / "benchmarks" / "README.md",
    *(ROOT / "packages" / name / "README.md" for name in TOOLKITS),
]
SHOWN_ONLY = {"text", "yaml", "json", "toml"}
BLOCK = re.compile(r"(?P<comment><!--[^\n]*-->\n)?^```(?P<language>\S*)\n(?P<code>.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
COMMENT = re.compile(r"<!-- (?P<mark>not run|slow): \S.* -->\n")


class Block(NamedTuple):
    """A fenced block that is run: its language, its text, and whether it is slow."""

    language: str
    code: str
    slow: bool


def blocks_of(text: str) -> Iterator[Block]:
    """The blocks of a README that are to be run."""
    for match in BLOCK.finditer(text):
        comment = COMMENT.fullmatch(match["comment"] or "")
        if match["language"] in SHOWN_ONLY or (comment and comment["mark"] == "not run"):
            continue
        yield Block(match["language"], match["code"], comment is not None)


def run_blocks(readme: Path, folder: Path, *, slow: bool) -> int:
    """Run the blocks in `folder`, the slow ones only when asked; the number that ran."""
    scripts = folder.with_name(folder.name + "-bin")
    scripts.mkdir()
    for name in TOOLKITS:
        write_script(name, scripts)
    path = os.pathsep.join([str(scripts), str(Path(sys.executable).parent), os.environ["PATH"]])
    sources = os.pathsep.join(str(source) for source in SOURCES)
    ran = 0
    for block in blocks_of(readme.read_text(encoding="utf-8")):
        if block.slow and not slow:
            continue
        shell = ["bash", "-euo", "pipefail", "-c"] if block.language == "bash" else [sys.executable, "-c"]
        done = subprocess.run(
            [*shell, block.code],
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONPATH": sources},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{readme}:\n{block.code}\n{done.stdout}{done.stderr}"
        ran += 1
    return ran


def name_of(readme: Path) -> str:
    return str(readme.relative_to(ROOT))


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_every_block_is_of_a_language_that_is_run_or_only_shown(readme: Path) -> None:
    languages = {block.language for block in blocks_of(readme.read_text(encoding="utf-8"))}

    assert languages <= {"bash", "python"}


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_comments_on_blocks_are_spelled_right(readme: Path) -> None:
    for match in BLOCK.finditer(readme.read_text(encoding="utf-8")):
        assert match["comment"] is None or COMMENT.fullmatch(match["comment"]), match["comment"]


@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_blocks_run(readme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()

    run_blocks(readme, folder, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("readme", READMES, ids=name_of)
def test_slow_blocks_run_too(readme: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    folder.mkdir()

    run_blocks(readme, folder, slow=True)


@pytest.mark.parametrize("readme", [*READMES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_every_link_to_a_file_leads_to_one(readme: Path) -> None:
    links = LINK.findall(readme.read_text(encoding="utf-8"))

    assert [link for link in links if not (readme.parent / link).exists()] == []


EXAMPLE = """\
# A page

```bash
echo one > a.txt
```

<!-- not run: it would call itself -->
```bash
make test
```

```python
assert open("a.txt").read() == "one\\n"
```

<!-- slow: trains -->
```bash
test -f a.txt
```

```text
not a command
```
"""


def test_blocks_share_a_folder_and_marked_ones_are_left_out(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(EXAMPLE)
    fast, slow = tmp_path / "fast", tmp_path / "slow"
    fast.mkdir()
    slow.mkdir()

    assert run_blocks(page, fast, slow=False) == 2
    assert run_blocks(page, slow, slow=True) == 3


@pytest.mark.parametrize("block", ["bash\nfalse\ntrue", "bash\nfalse | true", "python\nassert 1 == 2"])
def test_a_block_that_fails_fails_the_test(tmp_path: Path, block: str) -> None:
    page, folder = tmp_path / "README.md", tmp_path / "reader"
    page.write_text(f"```{block}\n```\n")
    folder.mkdir()

    with pytest.raises(AssertionError, match=re.escape(str(page))):
        run_blocks(page, folder, slow=False)
