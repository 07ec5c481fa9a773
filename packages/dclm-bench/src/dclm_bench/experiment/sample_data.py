"""A small folder of generated pages in the layout that the experiment reads: to see that all of it runs."""

import gzip
from pathlib import Path

from toolkit_shared.artifacts import write_bytes, write_json
from toolkit_shared.randomness import stream
from toolkit_shared.records import write_jsonl

from dclm_bench.data.generated.crawl import generate_pages
from dclm_bench.data.generated.pages import NUM_SITES, to_html


def write_sample_data(out: str | Path, *, pages: int = 260, seed: int = 0) -> None:
    """Write OUT/articles, OUT/pages and OUT/quality, as `collection.read_collection` reads them.

    Good English pages are articles with their text as gold, foreign and faulty ones are pages, and of both
    some are labelled. It shows nothing but that the experiment runs: all texts come out of one generator.

    Args:
        out: Folder.
        pages: Of the crawl that they are taken from.
        seed: Of the texts.
    """
    out = Path(out)
    truths, contents = generate_pages(pages=pages, files=1, seed=seed, suffix="warc.gz")
    gold, labelled = {}, []
    for truth, content in zip(truths, contents, strict=True):
        if truth.kind in ("not-html", "latin-1"):
            continue
        rng = stream(seed, "sample html", truth.page)
        html = to_html(
            content, truth.page % NUM_SITES, rng, heavy=truth.kind == "boilerplate", charset="utf-8"
        )
        packed = gzip.compress(html.encode(), 6, mtime=0)
        if truth.page % 4 == 3 and truth.language == "en":
            labelled.append({"text": truth.text, "label": int(truth.good)})
        elif truth.good:
            name = f"article-{truth.page:05d}"
            gold[name] = {"articleBody": truth.text, "url": truth.url}
            write_bytes(out / "articles" / "html" / f"{name}.html.gz", packed)
        else:
            write_bytes(out / "pages" / f"{truth.kind}-{truth.page:05d}.html.gz", packed)
    write_json(out / "articles" / "ground-truth.json", gold)
    write_jsonl(out / "quality" / "labelled.jsonl", labelled)
