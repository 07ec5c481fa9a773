"""The dataset reference: what a tokenised dataset is called, where it lies, and what it came from."""

import dataclasses
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import write_json

from dclm_bench.references.fields import creation_date, from_fields, new_uuid, read_object


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetReference:
    """A dataset in the form of the leaderboard's `exp_data/datasets`.

    Attributes:
        name: Of the dataset; model references begin with it.
        dataset_url: Folder or URL of the shards.
        manifest_url: Of `manifest.jsonl`.
        sources: The datasets it was made of, each `{"uuid", "name"}`, or one text.
        tokenized: Whether it holds contexts of tokens.
        num_tokens: Real tokens, without the fill of last contexts (the official code counts that too).
        size: Bytes.
        tokenizer: Name of the tokenizer.
        data_key: Ending of the members of a shard.
        sampling_yaml: How a mixture was drawn, where it is one.
        mirrors: Other places, by name.
        note: Free text.
        dcnlp_commit_hash: Commit of the official code; empty for datasets made here.
        dcnlp_diff: Local changes of it.
        uuid: Of this dataset.
        creation_date: As `2024_02_12-08_45_03`.

    Source: section 4 of the specification; `training/dataset_reference.py` of the official code.
    """

    name: str
    dataset_url: str
    manifest_url: str
    sources: list[Any] | str
    tokenized: bool
    num_tokens: int
    size: int | None
    tokenizer: str = "EleutherAI/gpt-neox-20b"
    data_key: str = "json.gz"
    sampling_yaml: dict[str, Any] | str | None = None
    mirrors: dict[str, Any] | None = None
    note: str = ""
    dcnlp_commit_hash: str = ""
    dcnlp_diff: str = ""
    uuid: str = dataclasses.field(default_factory=new_uuid)
    creation_date: str = dataclasses.field(default_factory=creation_date)

    @classmethod
    def read(cls, path: str | Path) -> "DatasetReference":
        """The reference of a file.

        Raises:
            InputError: no such file, or a field is missing, unknown or of another type.
        """
        return from_fields(cls, read_object(path, "dataset"), str(path))

    def to_json(self) -> dict[str, Any]:
        """The fields; `mirrors` and `note` only where they say something, as in the published files."""
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if value or key not in ("mirrors", "note")}

    def write(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, self.to_json())
