import json
import re

import pytest
import tiny_models
import torch
from llm_compat.arms import arm_named
from llm_compat.data.token_rows import TokenRows
from llm_compat.heads import Heads
from llm_compat.model.adapters import save_adapter, student_from_adapter, student_from_base
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.loading import attach_adapter, load_causal_lm
from llm_compat.training.batches import epoch_batches
from llm_compat.training.loop import train_adapter
from llm_compat.training.teachers import LiveTeachers
from peft import PeftModel
from safetensors import safe_open
from toolkit_shared.errors import InputError
from transformers import AutoModelForCausalLM

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

IDS = tiny_models.token_ids(2, 11)


@pytest.fixture(scope="module", params=["llama", "phi"])
def folders(request, tmp_path_factory):
    """A base and its task adapter."""
    folder = tmp_path_factory.mktemp(request.param)
    base = tiny_models.save_model(folder / "base", request.param)
    return base, tiny_models.save_adapter_for(base, folder / "adapter")


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def some_rows(number=8, length=10):
    import numpy as np

    trained = np.arange(length) < length - 1
    tokens = tiny_models.token_ids(number, length, seed=4).numpy().astype(np.int32)
    return TokenRows.from_rows([(row, trained) for row in tokens])


def train(student, *, arm="muscle", epochs=3, old=None):
    head = head_of(student.model, trainable=True)
    teachers = LiveTeachers(old=old or student.teacher_hidden_states, new=student.teacher_hidden_states)
    with student.teaching():
        teacher_head = head_of(student.model)
    history = []
    optimizer = torch.optim.AdamW(student.parameters, lr=1e-2, weight_decay=0)
    student.model.train()
    for epoch in range(epochs):
        history += train_adapter(
            student.model,
            epoch_batches(some_rows(), batch_size=4, epoch=epoch),
            arm=arm_named(arm),
            heads=Heads(head, teacher_head, teacher_head),
            teachers=teachers,
            optimizer=optimizer,
        )
    return history


def test_the_student_starts_bit_equal_to_the_task_model(folders):
    base, adapter = folders
    task_model = attach_adapter(load_causal_lm(base), adapter)

    student = student_from_adapter(load_causal_lm(base), adapter)

    assert torch.equal(logits(student.model), logits(task_model))
    with student.teaching() as teacher:
        assert torch.equal(logits(teacher), logits(task_model))
    assert not torch.allclose(logits(student.model), logits(load_causal_lm(base)))


def test_only_the_students_parameters_are_trained_whatever_is_switched(folders):
    student = student_from_adapter(load_causal_lm(folders[0]), folders[1])
    for _ in range(2):
        names = [name for name, parameter in student.model.named_parameters() if parameter.requires_grad]
        assert names
        assert all(".compat." in name for name in names)
        student.teacher_hidden_states(IDS)
    assert len(student.parameters) == len(names)


def test_a_teacher_runs_in_eval_mode_and_leaves_the_students_mode():
    model = tiny_models.make_model("phi", resid_pdrop=0.5)
    student = student_from_base(model, rank=2)
    student.model.train()

    first, second = (student.teacher_hidden_states(IDS) for _ in range(2))

    assert torch.equal(first, second)
    assert student.model.training
    assert not torch.equal(*(final_hidden_states(student.model, IDS) for _ in range(2)))


def test_training_moves_the_student_and_no_bit_of_its_teachers(folders):
    base, adapter = folders
    old_model = attach_adapter(
        load_causal_lm(base), tiny_models.save_adapter_for(base, adapter / "v1", seed=7)
    )
    student = student_from_adapter(load_causal_lm(base), adapter)
    before, started = student.teacher_hash(), logits(student.model)
    with student.teaching() as teacher:
        taught = logits(teacher)

    train(student, old=lambda ids: final_hidden_states(old_model, ids))

    assert student.teacher_hash() == before
    with student.teaching() as teacher:
        assert torch.equal(logits(teacher), taught)
    student.model.eval()
    assert not torch.allclose(logits(student.model), started, atol=1e-3)


def test_the_students_files_are_plain_peft(folders, tmp_path):
    base, adapter = folders
    student = student_from_adapter(load_causal_lm(base), adapter)
    train(student, arm="ce_more", epochs=1)
    student.model.eval()

    save_adapter(student.model, tmp_path / "compat")

    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "compat")
    assert torch.equal(logits(loaded.eval()), logits(student.model))
    assert sorted(path.name for path in (tmp_path / "compat").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    with safe_open(tmp_path / "compat" / "adapter_model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in names
    targets = {
        "llama": {"q", "k", "v", "o", "gate", "up", "down"},
        "phi": {"q", "k", "v", "dense", "fc1", "fc2"},
    }
    kind = json.loads((base / "config.json").read_text())["model_type"]
    layers = {name.split(".")[-3].removesuffix("_proj") for name in names}
    assert layers == targets[kind]
    assert len(names) == 2 * 2 * len(layers)  # A and B, two layers of the model
    config = json.loads((tmp_path / "compat" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (4, 8, True)


def test_equal_weights_are_written_as_equal_bytes(folders, tmp_path):
    for name in ("one", "two"):
        student = student_from_adapter(load_causal_lm(folders[0]), folders[1])
        save_adapter(student.model, tmp_path / name)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_larger_rank_keeps_the_function_and_can_use_its_new_rows(folders):
    base, adapter = folders
    task_model = attach_adapter(load_causal_lm(base), adapter)

    student = student_from_adapter(load_causal_lm(base), adapter, rank=6, seed=3)

    assert torch.allclose(logits(student.model), logits(task_model), rtol=1e-4, atol=1e-4)
    config = student.model.peft_config["compat"]
    assert (config.r, config.lora_alpha) == (6, 12)  # the scale is still 2
    up = [parameter for name, parameter in student.model.named_parameters() if "lora_B.compat" in name]
    assert all(torch.all(parameter[:, 4:] == 0) for parameter in up)
    train(student, arm="ce_more", epochs=1)
    assert all(torch.any(parameter[:, 4:] != 0) for parameter in up)
    assert student.teacher_hash() == student_from_adapter(load_causal_lm(base), adapter).teacher_hash()


def test_a_smaller_rank_cannot_hold_the_copy(folders):
    message = f"adapter.rank: 2 is below 4, the rank of {folders[1]}; a copy needs as much or more"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        student_from_adapter(load_causal_lm(folders[0]), folders[1], rank=2)


def test_a_fresh_student_is_the_base_and_its_adapter_depends_on_the_seed_alone():
    first, second, other = (
        student_from_base(tiny_models.make_model(), rank=3, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(logits(first.model), logits(tiny_models.make_model()))
    with first.teaching() as teacher:
        assert torch.equal(logits(teacher), logits(tiny_models.make_model()))
    assert all(torch.equal(*pair) for pair in zip(first.parameters, second.parameters, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first.parameters, other.parameters, strict=True))


def test_a_lora_on_the_output_head_is_trained_through_its_own_layer(tmp_path):
    base = tiny_models.save_model(tmp_path / "base")
    adapter = tiny_models.save_adapter_for(base, tmp_path / "adapter", targets=["q_proj", "lm_head"])
    student = student_from_adapter(load_causal_lm(base), adapter)
    head = head_of(student.model, trainable=True)
    with student.teaching() as teacher:
        teacher_head, expected = head_of(teacher), logits(teacher)
        merged = teacher_head.logits(final_hidden_states(teacher, IDS))

    before = student.teacher_hash()
    train(student, epochs=1, arm="ce+muscle")

    assert not head.is_frozen
    assert teacher_head.is_frozen
    assert torch.allclose(merged, expected, rtol=1e-4, atol=1e-5)
    grown = [p for n, p in student.model.named_parameters() if "lm_head.lora_B.compat" in n]
    theirs = [p for n, p in student.model.named_parameters() if "lm_head.lora_B.new" in n]
    assert not torch.equal(grown[0], theirs[0])
    assert student.teacher_hash() == before


def test_whole_layers_of_an_adapter_are_copied_and_kept_apart(tmp_path):
    base = tiny_models.save_model(tmp_path / "base")
    adapter = tiny_models.save_adapter_for(
        base, tmp_path / "adapter", targets=["q_proj"], modules_to_save=["lm_head"]
    )
    task_model = attach_adapter(load_causal_lm(base), adapter)
    student = student_from_adapter(load_causal_lm(base), adapter)

    assert torch.equal(logits(student.model), logits(task_model))
    train(student, epochs=1, arm="ce_more")
    student.model.eval()

    with student.teaching() as teacher:
        assert torch.equal(logits(teacher), logits(task_model))
    save_adapter(student.model, tmp_path / "compat")
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "compat")
    assert torch.equal(logits(loaded.eval()), logits(student.model))
