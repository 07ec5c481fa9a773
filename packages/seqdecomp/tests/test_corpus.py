"""The standard library as a corpus: which documents it gives, in which order, and how it is split."""

import ast
import subprocess
import sys
import venv
from itertools import islice
from pathlib import Path

import pytest
from seqdecomp.data.corpus import (
    Document,
    count_corpus,
    is_validation,
    split_by_file,
    standard_library_functions,
    standard_library_modules,
)
from toolkit_shared.errors import InputError


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def functions(folder: Path) -> list[str]:
    return [document.text for document in standard_library_functions(folder)]


def test_a_nested_function_is_part_of_the_outer_one_only(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "def outer():\n    def inner():\n        return 1\n    return inner\n")

    assert functions(tmp_path) == ["def outer():\n    def inner():\n        return 1\n    return inner\n"]


def test_methods_and_functions_under_if_are_taken_with_decorators_and_without_indentation(
    tmp_path: Path,
) -> None:
    method = "class A:\n    @property\n    def x(self):\n        return 1\n"
    write(tmp_path, "a.py", method + "if True:\n    async def f():\n        pass\n")

    assert functions(tmp_path) == ["@property\ndef x(self):\n    return 1\n", "async def f():\n    pass\n"]


def test_of_equal_functions_the_first_by_path_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "b.py", "def f():\n    return 1\n")
    write(tmp_path, "a.py", "class C:\n    def f():\n        return 1\n")

    documents = list(standard_library_functions(tmp_path))

    assert documents == [Document("def f():\n    return 1\n", "a.py")]


def test_a_form_feed_does_not_shift_the_lines(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "x = 1\n\x0c\ndef f():\n    return 1\n\x0c\ndef g():\n    return 2\n")

    assert functions(tmp_path) == ["def f():\n    return 1\n", "def g():\n    return 2\n"]


def test_tests_and_installed_packages_and_unreadable_files_are_left_out(tmp_path: Path) -> None:
    for name in (
        "site-packages/p.py",
        "test/a.py",
        "json/tests/b.py",
        "__pycache__/c.py",
        "pip/_vendor/d.py",
    ):
        write(tmp_path, name, f"def f():\n    return {name!r}\n")
    write(tmp_path, "broken.py", "def f(:\n")
    (tmp_path / "latin.py").write_bytes(b"# \xe9\ndef f(): pass\n")
    write(tmp_path, "json/good.py", "def f():\n    return 0\n")

    assert [document.path_in_library for document in standard_library_functions(tmp_path)] == ["json/good.py"]


def test_a_library_without_sources_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no Python sources of the standard library here; use an interpreter"
    ):
        next(standard_library_functions(tmp_path))


def test_the_interpreters_own_library_gives_thousands_of_functions_that_parse() -> None:
    documents = list(islice(standard_library_functions(), 3000))

    assert len(documents) == 3000
    assert len({document.text for document in documents}) == 3000
    assert all(
        isinstance(ast.parse(d.text).body[0], ast.FunctionDef | ast.AsyncFunctionDef) for d in documents[::20]
    )


def test_modules_are_whole_files_in_path_order() -> None:
    documents = list(standard_library_modules())
    paths = [document.path_in_library for document in documents]

    assert {"ast.py", "json/decoder.py"} <= set(paths)
    assert not [path for path in paths if "test" in path.split("/") or "site-packages" in path]
    assert paths == sorted(paths, key=lambda path: path.split("/"))
    assert documents[paths.index("ast.py")].text == Path(ast.__file__).read_text(encoding="utf-8")


def test_all_documents_of_a_file_fall_on_one_side_and_none_is_lost() -> None:
    documents = [Document(f"text {i}", f"file{i % 200}.py") for i in range(2000)]

    train, validation = split_by_file(documents, 0.25)

    assert not {d.path_in_library for d in train} & {d.path_in_library for d in validation}
    assert sorted(train + validation, key=lambda d: d.text) == sorted(documents, key=lambda d: d.text)
    # 200 files at 1/4: 50 expected, standard deviation 6.
    assert 30 <= count_corpus(validation).files <= 70


def test_the_split_is_a_fixed_function_of_the_path() -> None:
    # The first 64 bits of blake2b over 2^64: json/decoder.py 0.1139, ast.py 0.7573.
    assert [is_validation("json/decoder.py", fraction) for fraction in (0.11, 0.12)] == [False, True]
    assert [is_validation("ast.py", fraction) for fraction in (0.75, 0.76)] == [False, True]
    assert is_validation("any.py", 1.0)
    assert not is_validation("any.py", 0.0)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        is_validation("any.py", 1.5)


@pytest.mark.slow
def test_a_virtual_environment_sees_the_same_corpus(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    code = (
        f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from seqdecomp.data.corpus import count_corpus, standard_library_modules\n"
        "print(count_corpus(standard_library_modules()))"
    )

    inside = subprocess.run(
        [tmp_path / "venv/bin/python", "-c", code], capture_output=True, text=True, check=True
    ).stdout

    assert inside.strip() == str(count_corpus(standard_library_modules()))
