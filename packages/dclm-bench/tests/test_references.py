"""References in the leaderboard's form."""

import datetime
import json

import pytest
from dclm_bench.references import (
    DatasetReference,
    Hyperparameters,
    ModelReference,
    creation_date,
    friendly_name,
    new_uuid,
)
from toolkit_shared.errors import InputError

DATASET = {
    "uuid": "a3a6fe9d-8621-4223-a005-a7d6355c1169",
    "name": "pages",
    "creation_date": "2024_02_12-08_45_03",
    "dataset_url": "s3://bucket/pages/",
    "manifest_url": "s3://bucket/pages/manifest.jsonl",
    "sources": [{"uuid": "ea1e5caa-4c7e-4c36-9793-c83ef45ac180", "name": "pages"}],
    "tokenized": True,
    "tokenizer": "EleutherAI/gpt-neox-20b",
    "num_tokens": 48_684_936_660,
    "size": 128_581_127_798,
    "dcnlp_commit_hash": "39de1ff",
    "dcnlp_diff": "",
    "data_key": "json.gz",
    "sampling_yaml": None,
}
PARAMETERS = {
    "model": "training/open_lm_configs/d=1024_l=24_h=8.json",
    "tokens": 8_232_325_120,
    "warmup": 2000,
    "lr": 0.003,
    "wd": 0.033,
    "cd": 3e-05,
    "global_bs": 512,
    "acc": 8,
    "qk_norm": True,
    "z_loss": 0.0001,
    "grad_checkpointing": False,
    "params": 411_616_256,
    "params_no_embed": 359_973_888,
    "fsdp_flags": ["--fsdp"],
    "chinchilla_multiplier": 1,
}


def model_reference(**changes):
    return {
        "name": "pages-model",
        "dataset_name": "pages",
        "dataset_uuid": DATASET["uuid"],
        "hyperparameters": PARAMETERS,
        "checkpoint_url": "s3://bucket/epoch_5.pt",
        "open_lm_version": "0.0.34",
        "open_lm_args": ["--lr", "0.003"],
        "results": [],
        "params_url": "s3://bucket/params.txt",
        "uuid": new_uuid(),
        "creation_date": "2024_02_14-02_38_16",
        **changes,
    }


def written(path, value):
    path.write_text(json.dumps(value))
    return path


def test_a_published_dataset_reference_goes_in_and_out_unchanged(tmp_path):
    read = DatasetReference.read(written(tmp_path / "a.json", DATASET))
    read.write(tmp_path / "b.json")

    assert json.loads((tmp_path / "b.json").read_text()) == DATASET
    assert DatasetReference.read(tmp_path / "b.json") == read


def test_a_model_reference_goes_in_and_out_with_its_hyperparameters(tmp_path):
    read = ModelReference.read(written(tmp_path / "a.json", model_reference()))
    read.write(tmp_path / "b.json")

    assert isinstance(read.hyperparameters, Hyperparameters)
    assert read.hyperparameters.seed == 124  # the official default, where old files do not say
    assert read.failed is False
    assert ModelReference.read(tmp_path / "b.json") == read


# By hand, after names in the published database.
def test_the_friendly_name_has_p_for_the_point():
    parameters = Hyperparameters(**PARAMETERS)
    assert friendly_name("pages", parameters) == (
        "pages-d=1024_l=24_h=8-warm=2000-lr=0p003-wd=0p033-cd=3e-05-bs=512-mult=1-seed=124-tokens=8232325120"
    )
    other = Hyperparameters(
        **{**PARAMETERS, "chinchilla_multiplier": 0.5, "vocab_size": 320, "norm": "rms/x"}
    )
    assert friendly_name("pages", other, suffix="-b") == (
        "pages-d=1024_l=24_h=8-warm=2000-lr=0p003-wd=0p033-cd=3e-05-bs=512-mult=0p5-seed=124"
        "-tokens=8232325120-norm=rms-x-vocab=320-b"
    )


def test_each_reference_has_a_uuid_and_a_date_of_its_own():
    def make():
        return DatasetReference(
            name="a", dataset_url="", manifest_url="", sources=[], tokenized=True, num_tokens=1, size=1
        )

    assert make().uuid != make().uuid  # the official code gives all of a process the same
    assert creation_date(datetime.datetime(2024, 2, 12, 8, 45, 3)) == "2024_02_12-08_45_03"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"num_tokens": "many"}, "field 'num_tokens' is 'many'; it should be a whole number"),
        ({"num_tokens": True}, "field 'num_tokens' is True; it should be a whole number"),
        ({"tokenised": True}, "field 'tokenised' is not known; known are name,"),
        ({"sources": 3}, "field 'sources' is 3; it should be a list or text"),
        ({"name": ...}, "field 'name' is missing; add it"),
    ],
)
def test_a_wrong_field_of_a_reference_is_named(tmp_path, changes, line):
    values = {key: value for key, value in {**DATASET, **changes}.items() if value is not ...}
    path = written(tmp_path / "a.json", values)
    with pytest.raises(InputError) as caught:
        DatasetReference.read(path)
    assert str(caught.value).startswith(f"{path}: {line}")


def test_a_wrong_field_among_the_hyperparameters_is_named(tmp_path):
    path = written(tmp_path / "a.json", model_reference(hyperparameters={**PARAMETERS, "lr": "fast"}))
    with pytest.raises(InputError, match="hyperparameters: field 'lr' is 'fast'; it should be a number"):
        ModelReference.read(path)
    with pytest.raises(InputError, match="holds no JSON object; give a model reference"):
        ModelReference.read(written(tmp_path / "b.json", [1]))
