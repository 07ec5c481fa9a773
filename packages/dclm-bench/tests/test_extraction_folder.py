import json
import signal
import subprocess
import sys

import pytest
from crawl_records import FIRST_LINE, packed, record, warcinfo
from dclm_bench.data.reading import read_pages
from dclm_bench.extraction.extract import extract_folder
from toolkit_shared.errors import InputError

CLI = (
    "import sys; from toolkit_shared.cli import Command, run; "
    "sys.exit(run('dclm-bench', 'x', {'extract': Command('x', 'dclm_bench.commands.extract:extract')}))"
)


@pytest.fixture
def crawl(tmp_path):
    """Three files: a sound one, one with a page that is no UTF-8, one that is cut off."""
    folder = tmp_path / "crawl"
    folder.mkdir()
    for number in range(3):
        records = [warcinfo(), *[record(number=10 * number + n) for n in range(5)]]
        if number == 1:
            records.append(record(b"\xff", number=99))
        data = packed(*records)
        (folder / f"part-{number}.warc.gz").write_bytes(data[:-40] if number == 2 else data)
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*arguments):
    return subprocess.run([sys.executable, "-c", CLI, "extract", *arguments], capture_output=True, text=True)


def test_each_input_gives_a_file_of_pages_and_the_manifest_counts_what_is_lost(crawl, tmp_path):
    report = extract_folder([crawl], tmp_path / "out")
    assert (report.files, report.records, report.pages) == (3, 16, 15)
    assert report.losses["lost"] == {"not UTF-8": 1}
    assert report.losses["noted"]["file ends early"] == 1
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert [entry["pages"] for entry in manifest["files"]] == [5, 5, 5]
    assert manifest["config"]["versions"].keys() == {"fastwarc", "resiliparse"}
    pages = list(read_pages(tmp_path / "out" / manifest["files"][0]["path"]))
    assert FIRST_LINE in pages[0].text
    assert pages[0].record["warcinfo"] == "software: a crawler"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["manifest.json", "pages"]


@pytest.mark.parametrize("format", ["jsonl.gz", "jsonl.zst", "parquet"])
def test_repetition_does_not_change_a_byte(crawl, tmp_path, format):
    extract_folder([crawl], tmp_path / "a", format=format)
    extract_folder([crawl], tmp_path / "b", format=format)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_and_engines_do_not_change_a_byte(crawl, tmp_path, engine):
    extract_folder([crawl], tmp_path / "a")
    extract_folder([crawl], tmp_path / "b", workers=2, engine=engine)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_all_formats_hold_the_same_pages(crawl, tmp_path):
    found = []
    for format in ("jsonl", "jsonl.gz", "jsonl.zst", "parquet"):
        extract_folder([crawl], tmp_path / format, format=format)
        files = sorted((tmp_path / format / "pages").iterdir())
        found.append([page.to_json() for path in files for page in read_pages(path)])
    assert len(found[0]) == 15
    assert found[0] == found[1] == found[2] == found[3]


def test_an_extraction_that_was_cut_off_goes_on_to_the_same_bytes(crawl, tmp_path):
    extract_folder([crawl], tmp_path / "whole")
    script = (
        "import os, sys\n"
        "from dclm_bench.extraction import extract\n"
        "real = extract.write_pages\n"
        "def dying(path, pages):\n"
        "    if '00001' in path.name:\n"
        "        pages = (p if n < 2 else os.kill(os.getpid(), 9) for n, p in enumerate(pages))\n"
        "    return real(path, pages)\n"
        "extract.write_pages = dying\n"
        "extract.extract_folder([sys.argv[1]], sys.argv[2])\n"
    )
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", script, str(crawl), str(out)])
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in (out / "done").iterdir()] == ["00000.json"]
    first = out / "pages" / "00000-part-0.warc.jsonl.gz"
    written = first.stat().st_mtime_ns
    extract_folder([crawl], out)
    assert first.stat().st_mtime_ns == written
    assert contents(out) == contents(tmp_path / "whole")


def test_other_settings_are_refused_and_named(crawl, tmp_path):
    extract_folder([crawl], tmp_path / "out")
    with pytest.raises(InputError, match='encoding "strict" there, "detect" here'):
        extract_folder([crawl], tmp_path / "out", encoding="detect")
    assert extract_folder([crawl], tmp_path / "out", encoding="detect", overwrite=True).pages == 16


def test_strict_stops_at_damage_whether_it_is_met_now_or_was_counted_before(crawl, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"part-2\.warc\.gz, byte \d+: file ends early"):
        extract_folder([crawl], out, strict=True)
    assert extract_folder([crawl], out).pages == 15
    with pytest.raises(InputError, match="file ends early"):
        extract_folder([crawl], out, strict=True)


def test_inputs_of_another_kind_are_named(crawl, tmp_path):
    (crawl / "x.warc.wet.gz").write_bytes(packed(record(b"text", kind="conversion", http=False)))
    with pytest.raises(
        InputError, match=r"x\.warc\.wet\.gz: is wet, and the extractor 'resiliparse' reads warc"
    ):
        extract_folder([crawl], tmp_path / "out")


def test_the_command_prints_totals_and_reasons(crawl, tmp_path):
    done = run(str(crawl), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "15 pages" in done.stdout
    assert "records lost: 1 of 16" in done.stdout
    assert "lost: 1 not UTF-8" in done.stdout
    as_json = run(str(crawl), "--out", str(tmp_path / "out"), "--json")
    assert json.loads(as_json.stdout)["pages"] == 15
    refused = run(str(crawl), "--out", str(tmp_path / "out"), "--encoding", "detect")
    assert refused.returncode == 2
    assert refused.stderr.startswith("dclm-bench extract: error: ")
    assert len(refused.stderr.splitlines()) == 1
