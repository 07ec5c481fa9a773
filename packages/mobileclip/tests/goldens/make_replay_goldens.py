"""Make replay.json with the paper's own transforms: augmentations, and hashes of what they give.

    python make_replay_goldens.py CHECKOUT

CHECKOUT is one of apple/ml-mobileclip. Each augmentation is drawn by the official code, goes through JSON,
and is applied again by the official code. The hashes are of the pixels after that, and of the normalised
tensor.
"""

import hashlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import PIL
import torch
import torchvision

sys.path.insert(0, str(Path(__file__).parent.parent))
from generated_photographs import photograph

SIZES = [(320, 240), (240, 320), (512, 341), (64, 48), (224, 224), (300, 90)]
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def official_transforms(checkout: Path) -> types.ModuleType:
    """The official module, under the names by which it imports its own parts."""
    for name in ("open_clip_train", "open_clip_train.dr"):
        sys.modules[name] = types.ModuleType(name)
    for name in ("transforms_base", "transforms"):
        path = checkout / "training" / "dr" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"open_clip_train.dr.{name}", path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    return module


def main() -> None:
    """Write the golden file beside this script."""
    official = official_transforms(Path(sys.argv[1]))
    torch.manual_seed(0)
    cases = []
    for number in range(60):
        size = 256 if number % 5 == 4 else 224
        probability = 0.5 if number % 10 == 3 else 1.0
        config = {
            "normalize": {"mean": MEAN, "std": STD},
            "rand_augment": {"enable": True, "p": probability},
            "random_resized_crop": {"interpolation": "bicubic", "size": size},
            "to_rgb": {"enable": True},
            "to_tensor": {"enable": True},
        }
        transforms = official.compose_from_config(config)
        image = photograph(number, SIZES[number % len(SIZES)])
        first, params = transforms(image)
        stored = json.loads(json.dumps(transforms.compress(params)))
        again, _ = transforms.reapply(image, transforms.decompress(stored))
        assert torch.equal(first, again)
        del config["normalize"]
        pixels, _ = official.compose_from_config(config).reapply(image, transforms.decompress(stored))
        levels = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
        assert torch.equal(levels.permute(2, 0, 1).float().div(255), pixels)
        cases.append(
            {
                "image": number,
                "image_size": SIZES[number % len(SIZES)],
                "size": size,
                "augmentation": stored,
                "pixels": hashlib.sha256(levels.numpy().tobytes()).hexdigest()[:32],
                "normalized": hashlib.sha256(again.contiguous().numpy().tobytes()).hexdigest()[:32],
            }
        )
    versions = {module.__name__: module.__version__ for module in (torch, torchvision, PIL)}
    path = Path(__file__).with_name("replay.json")
    lines = ",\n".join(json.dumps(case) for case in cases)
    path.write_text(f'{{"versions": {json.dumps(versions)},\n"cases": [\n{lines}\n]}}\n')
    print(path, len(cases))


if __name__ == "__main__":
    main()
