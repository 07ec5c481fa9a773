"""The two errors that a user can mend."""

from pathlib import Path

import pytest
from toolkit_shared.errors import InputError, MissingExtra, require


def test_require_returns_the_module_that_is_there() -> None:
    assert require("json.decoder", toolkit="toy", extra="plots").JSONDecoder


def test_a_missing_module_gives_the_extra_and_the_line_that_installs_it() -> None:
    with pytest.raises(MissingExtra) as caught:
        require("nowhere_at_all.part", toolkit="toy-toolkit", extra="plots")

    assert str(caught.value) == (
        "nowhere_at_all is not installed; it comes with the extra 'plots': pip install 'toy-toolkit[plots]'"
    )
    assert caught.value.__suppress_context__  # the inner traceback adds nothing


def test_a_missing_extra_is_an_input_error_so_that_one_except_catches_both() -> None:
    assert issubclass(MissingExtra, InputError)


def test_a_module_that_is_there_but_broken_inside_keeps_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given an installed module that imports something which is not
    (tmp_path / "broken_inside.py").write_text("import nowhere_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)

    # then the extra is not blamed
    with pytest.raises(ModuleNotFoundError, match="No module named 'nowhere_at_all'"):
        require("broken_inside", toolkit="toy-toolkit", extra="plots")


def test_a_missing_submodule_of_an_installed_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match="json is not installed"):
        require("json.nowhere", toolkit="toy", extra="plots")
