"""The extractions of GSM8K, against hand-worked outputs."""

import pytest
from llm_compat.data.rescoring import flexible_number, same_number, strict_number, target_number


@pytest.mark.parametrize(
    ("output", "strict", "flexible"),
    [
        ("She has 3 + 4 = 7.\n#### 7", "7", "7"),
        ("#### 1,200\nso 5", "1,200", "5"),
        ("The answer is $18.", None, "$18."),
        ("no number", None, None),
        ("#### -4", "-4", "-4"),
        ("####7", None, "7"),
        ("first #### 1 then #### 2", "1", "2"),
        ("It costs 5", None, "5"),
        # the flexible pattern takes a lone ellipsis for a number, as the harness does
        ("9 and so on ...", None, "..."),
        ("", None, None),
    ],
)
def test_numbers_are_extracted_as_the_filters_do(
    output: str, strict: str | None, flexible: str | None
) -> None:
    assert strict_number(output) == strict
    assert flexible_number(output) == flexible


@pytest.mark.parametrize(
    ("target", "number"),
    [("5+5=<<5+5=10>>10\n#### 10", "10"), ("a\n#### 1,234 ", "1,234"), ("no mark 3", None), ("####", None)],
)
def test_the_target_is_what_stands_after_the_mark(target: str, number: str | None) -> None:
    assert target_number(target) == number


@pytest.mark.parametrize(
    ("answer", "target", "is_same"),
    [
        ("1200", "1,200", True),
        ("$18.", "18", True),
        ("18.0", "18", False),
        (None, "18", False),
        ("-18", "18", False),
    ],
)
def test_equality_is_that_of_exact_match(answer: str | None, target: str, is_same: bool) -> None:
    assert same_number(answer, target) is is_same
