from pathlib import Path

import pytest
from dclm_bench.heuristics.punkt import PunktParameters, read_parameters, split_sentences
from dclm_bench.heuristics.sentences import FOLDER_VARIABLE, load_splitter, split_by_rules
from toolkit_shared.errors import InputError

# Files of the form of NLTK's punkt_tab/english; their words are made up.
TABLES = {
    "abbrev_types.txt": "dr\nst\ne.g",
    "collocations.tab": "##number##\tlane\nst\tives",
    "sent_starters.txt": "however\nthe",
    "ortho_context.tab": "river\t112\nthe\t34\nhowever\t2\nives\t4",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        # By NLTK 3.8.1 with the same parameters.
        ("One here. Two there! Three?", ["One here.", "Two there!", "Three?"]),
        ("Dr. Grey met him. He left.", ["Dr. Grey met him.", "He left."]),
        ("See Dr. However he left.", ["See Dr.", "However he left."]),
        ("By the st. River boats wait.", ["By the st.", "River boats wait."]),
        ("At No. 5. Lane ends.", ["At No.", "5. Lane ends."]),
        ("J. Bach played. Well.", ["J. Bach played.", "Well."]),
        ("J. lane runs. Well.", ["J. lane runs.", "Well."]),
        ("See 5. and go.", ["See 5. and go."]),
        ("Take plan J. River boats wait.", ["Take plan J.", "River boats wait."]),
        ("He said (it is so.) Then he left.", ["He said (it is so.)", "Then he left."]),
        ('"Is it?" he asked. "No."', ['"Is it?"', "he asked.", '"No."']),
        ("Wait... what? No... Then go.", ["Wait... what?", "No... Then go."]),
        ("so bad!!! I left", ["so bad!!!", "I left"]),
        ("  \n ", []),
        ("", []),
    ],
)
def test_sentences_are_those_of_nltk(text: str, sentences: list[str], folder: Path) -> None:
    assert split_sentences(text, read_parameters(folder)) == sentences


def test_without_a_language_every_full_stop_before_a_word_may_end_a_sentence() -> None:
    assert split_sentences("Dr. Grey met him.", PunktParameters()) == ["Dr.", "Grey met him."]
    assert split_by_rules("Dr. Grey met him at 5 p.m. today. He left.") == [
        "Dr. Grey met him at 5 p.m. today.",
        "He left.",
    ]


def test_the_english_model_is_found_by_parameter_or_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "By st. Ives we met. So."
    by_path = load_splitter("nltk", "english", str(folder))
    assert by_path(text) == ["By st. Ives we met.", "So."]
    assert load_splitter("nltk", "english", str(folder)) is by_path
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    assert load_splitter("nltk", "en") is by_path
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert load_splitter("nltk", "english") is split_by_rules
    assert load_splitter() is split_by_rules


def test_a_folder_without_the_model_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the folder 'english' of NLTK's punkt_tab"):
        load_splitter("nltk", "english", str(tmp_path))
    with pytest.raises(InputError, match="tokenizer is 'spacy'"):
        load_splitter("spacy")
