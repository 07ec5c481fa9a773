"""How fast is a whole training sample made, decoding and replay included, against the official steps?

Of each sample the official loader decodes the JPEG, all embeddings (`pth.gz`) and the two JSON members,
replays one augmentation, turns it into a normalised tensor and tokenises two captions. Ours reads the
embeddings, the augmentation and the captions from the store, decodes the same JPEG and tokenises with the
same tokenizer. The official steps are stated anew with the libraries that they call; with `--official` the
replay is the released code itself. Further arms read npz, and `pth.gz` from the packed stream as the
generator's own reader does. Images, tokens and rows of the arms must be equal to the bit, so decoding,
cropping and resizing cost both sides the same; were the rest free, ours would be about 1.8 times as fast.
"""

import importlib.util
import io
import json
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mobileclip.architectures import OPENAI_MEAN, OPENAI_STD
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.replay import OPERATIONS, normalize_image, replay
from mobileclip.tokenization import ClipTokenizer
from PIL import Image
from toolkit_shared.images import decode_image
from torchvision.transforms import InterpolationMode, RandAugment
from torchvision.transforms import functional as F

from benchmarks.measurement import Sample, alternate, timed
from benchmarks.mobileclip.reinforced_set import (
    Draw,
    generated_samples,
    jpegs,
    json_members,
    load_pth_gz,
    npz_members,
    pth_gz_members,
    random_draws,
    stream_pth_gz,
    write_store,
)
from benchmarks.question import Finding, Options, Question, answer, report_round

QUESTION = Question(
    name="reinforced-loader",
    toolkit="mobileclip",
    expected="at least 2 times the samples/s of the official steps with pth.gz",
    holds=lambda ratio: ratio >= 2,
    packages=["mobileclip", "numpy", "pillow", "torch", "torchvision"],
    unit="samples",
)
STREAMED = "official, pth.gz from the packed stream"
OURS, OFFICIAL, NPZ = "mobileclip store", "official, pth.gz", "official, npz"
Replay = Callable[[Image.Image, Any], torch.Tensor]


class Loaded(NamedTuple):
    """What a training step needs of a sample."""

    image: torch.Tensor
    tokens: torch.Tensor
    rows: torch.Tensor


class Members(NamedTuple):
    """The bytes of the official members of each sample."""

    images: list[bytes]
    texts: list[tuple[bytes, bytes, bytes]]
    embeddings: list[bytes]


def measure(options: Options) -> Finding:
    """Time samples of the store and of the members in turn."""
    torch.set_num_threads(1)
    at_least = options.pick(0, 2)
    tokenizer = ClipTokenizer()
    apply = restated_replay if options.official is None else released_replay(options.official)
    with tempfile.TemporaryDirectory() as name:
        samples = generated_samples(options.pick(4, 64), "bfloat16")
        store = write_store(Path(name) / "store", samples)
        images, texts = jpegs(len(samples)), json_members(samples)
        packed = Members(images, texts, pth_gz_members(samples))
        plain = Members(images, texts, npz_members(generated_samples(len(samples), "float32")))
        draws = random_draws(len(samples), options.pick(8, 128))

        def ours() -> float:
            return float(sum(load_stored(store, images, draw, tokenizer) is not None for draw in draws))

        def official(members: Members, load: Callable[[bytes], Any]) -> float:
            return float(
                sum(load_official(members, load, draw, tokenizer, apply) is not None for draw in draws)
            )

        for draw in draws:
            mine = load_stored(store, images, draw, tokenizer)
            theirs = load_official(packed, load_pth_gz, draw, tokenizer, apply)
            assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), "a sample differs"
        arms = {
            OURS: lambda: timed(ours, at_least_seconds=at_least),
            OFFICIAL: lambda: timed(lambda: official(packed, load_pth_gz), at_least_seconds=at_least),
            STREAMED: lambda: timed(lambda: official(packed, stream_pth_gz), at_least_seconds=at_least),
            NPZ: lambda: timed(lambda: official(plain, load_npz), at_least_seconds=at_least),
        }
        found = alternate(arms, repeats=options.repeats, progress=report_round)
        share = decode_share(images, found[OURS])
    code = "released replay" if options.official is not None else "replay restated with torchvision"
    note = f"JPEGs of 512 x 384 pixels, views of 224; {code}; images, tokens and rows equal"
    return Finding(found, OURS, OFFICIAL, f"decoding JPEG, {share:.0%} of our time", note=note)


def load_stored(
    store: ReinforcedStore, images: Sequence[bytes], draw: Draw, tokenizer: ClipTokenizer
) -> Loaded:
    """A sample by this toolkit."""
    image = decode_image(images[draw.sample], where="jpg")
    view = replay(image, store.augmentation(draw.sample, draw.augmentation))
    texts = [store.caption(draw.sample, 0), store.synthetic_caption(draw.sample, draw.synthetic)]
    rows = store.draw(draw.sample, draw.augmentation, 0, draw.synthetic)
    assert rows.synthetic is not None
    pixels = normalize_image(view, OPENAI_MEAN, OPENAI_STD)
    return Loaded(
        pixels, tokenizer(texts), torch.from_numpy(np.stack([rows.image, rows.text, rows.synthetic]))
    )


def load_official(
    members: Members, load: Callable[[bytes], Any], draw: Draw, tokenizer: ClipTokenizer, apply: Replay
) -> Loaded:
    """A sample by the steps of the official loader."""
    text, synthetic, augmentations = members.texts[draw.sample]
    with Image.open(io.BytesIO(members.images[draw.sample])) as stream:
        image = stream.convert("RGBA").convert("RGB")  # "pilrgba" is how the released loader decodes
    view = apply(image, json.loads(augmentations)["param_aug"][draw.augmentation])
    captions = json.loads(synthetic)["syn_text"]
    tokens = torch.cat([tokenizer(text.decode()), tokenizer(captions[draw.synthetic])])
    arrays = load(members.embeddings[draw.sample])
    texts = arrays["text_emb"]
    rows = [arrays["image_emb"][draw.augmentation], texts[0], texts[1 + draw.synthetic]]
    return Loaded(view, tokens, torch.stack([torch.as_tensor(row).type(torch.float32) for row in rows]))


def load_npz(data: bytes) -> Any:
    """The arrays of an npz, as webdataset's decoder gives them."""
    return np.load(io.BytesIO(data))


def restated_replay(image: Image.Image, parameters: Any) -> torch.Tensor:
    """The official replay by the torchvision classes that it derives from."""
    (top, left, height, width), operations = parameters
    view = F.resized_crop(image, top, left, height, width, [224, 224], InterpolationMode.BICUBIC)
    for index, magnitude in operations or ():
        # torchvision's class draws; what it would draw is fixed
        step = RandAugment(num_ops=1, magnitude=0)
        fixed = {OPERATIONS[index]: (torch.tensor([magnitude]), False)}
        step._augmentation_space = lambda *_, fixed=fixed: fixed
        view = step(view)
    normalized: torch.Tensor = F.normalize(F.to_tensor(view), list(OPENAI_MEAN), list(OPENAI_STD))
    return normalized


def released_replay(checkout: Path) -> Replay:
    """The replay of the released code in a checkout of apple/ml-mobileclip."""
    for name in ("open_clip_train", "open_clip_train.dr"):
        sys.modules.setdefault(name, types.ModuleType(name))
    module: Any = None
    for name in ("transforms_base", "transforms"):
        path = checkout / "training" / "dr" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"open_clip_train.dr.{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    composed = module.compose_from_config(
        {
            "normalize": {"mean": list(OPENAI_MEAN), "std": list(OPENAI_STD)},
            "rand_augment": {"enable": True, "p": 1.0},
            "random_resized_crop": {"interpolation": "bicubic", "size": 224},
            "to_tensor": {"enable": True},
        }
    )

    def apply(image: Image.Image, parameters: Any) -> torch.Tensor:
        view, _ = composed.reapply(image, composed.decompress(parameters))
        tensor: torch.Tensor = view
        return tensor

    return apply


def decode_share(images: Sequence[bytes], ours: Sequence[Sample]) -> float:
    """Which part of our arm's processor time decoding alone takes."""
    alone = min(
        timed(lambda: float(len([decode_image(data, where="jpg") for data in images]))).cpu_seconds
        for _ in range(3)
    )
    return (alone / len(images)) / min(sample.cpu_seconds / sample.work for sample in ours)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
