"""The demonstration: it runs offline, writes its page, and tells the same when it is run again."""

from pathlib import Path

import pytest
from seqdecomp.cli import COMMANDS
from toolkit_shared.cli import run


@pytest.mark.slow
def test_the_demonstration_writes_a_page_and_repeats_to_the_same_losses(tmp_path: Path) -> None:
    from seqdecomp.experiment.demonstration import demonstrate, finish
    from seqdecomp.experiment.demonstration_page import to_document, to_page, to_text

    documents = []
    for name in ("a", "b"):
        found = demonstrate(tmp_path / name, steps=6, batch_tokens=2048, limit=1500)
        document = to_document(found)
        path = finish(found, to_page(found, document))
        documents.append(document)
        assert path.read_text().count("data:image/svg+xml;base64,") == 3
        assert (tmp_path / name / "manifest.json").exists()

    first, again = documents
    assert first["problems"] == []
    for arm in ("concat", "dd"):
        assert first["arms"][arm]["tokens"] == 6 * 2048
        assert first["arms"][arm]["seconds"] > 0
        assert first["arms"][arm]["perplexity"] == again["arms"][arm]["perplexity"]
    # The tail that ends where its document ends keeps the end-of-text token; the dropped tail takes it along.
    assert first["tails"]["anchor-end"]["eos_survival_of_kept"] == 1.0
    assert first["tails"]["drop"]["eos_survival_of_kept"] < 0.2
    assert first["tails"]["drop"]["dropped_tokens"] == first["tails"]["anchor-end"]["dropped_tokens"]
    assert "dataset decomposition" in to_text(first)


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--steps", "3", "--steps: 3 is below 4, too few to compare; give 40"),
        ("--seed", "-1", "--seed: -1 is negative; give 0 or more"),
    ],
)
def test_numbers_that_cannot_be_are_refused_in_one_line(
    option: str, value: str, line: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = run("seqdecomp", "about", COMMANDS, ["demo", option, value, "--out", str(tmp_path / "demo")])

    assert code == 2
    assert capsys.readouterr().err == f"seqdecomp demo: error: {line}\n"
    assert not (tmp_path / "demo").exists()
