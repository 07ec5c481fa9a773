import json

import pytest
import torch
from toolkit_shared.checkpoints import load_pretrained, misfit, save_pretrained
from toolkit_shared.errors import InputError


def test_weights_and_config_come_back_as_they_were(tmp_path):
    shared = torch.randn(2, 3)
    weights = {"a": shared, "b": shared.T, "half": torch.ones(4, dtype=torch.bfloat16)}
    save_pretrained(tmp_path / "model", weights, {"width": 3})
    state, config = load_pretrained(str(tmp_path / "model"))

    assert config == {"width": 3}
    assert state.keys() == weights.keys()
    assert all(
        torch.equal(state[name], weights[name]) and state[name].dtype == weights[name].dtype for name in state
    )


def test_the_same_weights_give_the_same_bytes(tmp_path):
    weights = {"b": torch.zeros(2), "a": torch.ones(2)}
    save_pretrained(tmp_path / "one", weights, {"x": 1, "y": 2})
    save_pretrained(tmp_path / "two", dict(reversed(weights.items())), {"y": 2, "x": 1})
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_weights_that_do_not_fit_are_told_in_one_phrase():
    own = {"a": torch.zeros(2, 3), "b": torch.zeros(4), "c": torch.zeros(1)}
    assert misfit(own, {name: torch.ones_like(value) for name, value in own.items()}) is None
    found = {"a": torch.zeros(3, 2), "b": torch.zeros(()), "d": torch.zeros(1)}
    assert misfit(own, found) == (
        "a is 3 x 2 in the file and 2 x 3 in the model; b is a scalar in the file and 4 in the model; "
        "c is missing; 1 more"
    )


def test_folders_that_are_not_models_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: no such file"):
        load_pretrained(tmp_path)
    with pytest.raises(InputError, match="absent: no such folder"):
        load_pretrained(tmp_path / "absent")
    save_pretrained(tmp_path, {"a": torch.ones(1)}, {})
    (tmp_path / "config.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="holds list, not an object"):
        load_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"model\.safetensors: not a readable safetensors file"):
        load_pretrained(tmp_path)


def test_a_hub_name_that_cannot_be_fetched_is_refused_in_one_line():
    with pytest.raises(InputError, match="some/model: no such folder, and the Hub did not give it") as caught:
        load_pretrained("some/model")
    assert "\n" not in str(caught.value)
