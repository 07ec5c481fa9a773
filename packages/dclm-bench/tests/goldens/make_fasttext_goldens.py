"""Makes fasttext_0.9.2_*: small models of the fastText library, and what it predicts with them.

    uv run --isolated --no-project --python 3.11 --with fasttext-wheel==0.9.2 --with "numpy<2" \\
        python make_fasttext_goldens.py

The texts are random words of four languages, drawn here.
"""

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import fasttext

HERE = Path(__file__).parent
WORDS = {
    "en": "the of market price river garden question answer why explain number water simple school".split(),
    "de": "der die das Straße Übung Größe warum erklären Wasser Garten über schön für Käse".split(),
    "ru": "почему вода школа сад вопрос ответ цена рынок река свет бумага".split(),
    "zh": "为什么 水 学校 花园 问题 市场 价格 河流 光 纸".split(),
}
ODD = [
    "",
    "   ",
    "unknownword",
    "the __label__en market",
    "the </s> water",
    "a\tb\rc\x0bd",
    "x\x00y the",
    "Ünï çødé 😀 emoji",
    "为什么水学校 unknown",
    "the,the the.",
]
PLAIN = {"dim": 4, "bucket": 50, "epoch": 10, "lr": 0.5}
BIG = {"dim": 5, "bucket": 300, "epoch": 10, "lr": 0.5}
MODELS = {
    "softmax": ({**PLAIN, "loss": "softmax", "wordNgrams": 2}, None),
    "trigrams": ({**PLAIN, "loss": "softmax", "wordNgrams": 3}, None),
    "unigrams": ({**PLAIN, "loss": "softmax", "wordNgrams": 1}, None),
    "subwords": ({**PLAIN, "loss": "softmax", "wordNgrams": 2, "minn": 2, "maxn": 4}, None),
    "tree": ({**PLAIN, "loss": "hs", "wordNgrams": 1, "minn": 2, "maxn": 4}, None),
    "one_vs_all": ({**PLAIN, "loss": "ova", "wordNgrams": 2}, None),
    "quantized": ({**BIG, "loss": "softmax", "wordNgrams": 2}, {"qnorm": True, "dsub": 2}),
    "pruned": (
        {**BIG, "loss": "hs", "wordNgrams": 1, "minn": 2, "maxn": 4},
        {"qnorm": False, "dsub": 2, "cutoff": 270, "retrain": True},
    ),
}


def main() -> None:
    """Write the models and the predictions beside this script."""
    draw = random.Random(1)
    languages = draw.choices(list(WORDS), [4, 3, 2, 1], k=300)
    training = [(" ".join(draw.choices(WORDS[name], k=draw.randint(3, 15))), name) for name in languages]
    texts = [" ".join(draw.choices(WORDS[draw.choice(list(WORDS))], k=8)) for _ in range(12)] + ODD
    golden: dict[str, Any] = {"training": training, "texts": texts, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "training.txt")
        lines.write_text("".join(f"__label__{name} {text}\n" for text, name in training), encoding="utf-8")
        for name, (options, quantization) in MODELS.items():
            model = fasttext.train_supervised(str(lines), thread=1, verbose=0, **options)
            if quantization:
                model.quantize(input=str(lines), thread=1, verbose=0, **quantization)
            suffix = "ftz" if quantization else "bin"
            model.save_model(str(HERE / f"fasttext_0.9.2_{name}.{suffix}"))
            correct = sum(model.predict(text)[0][0] == f"__label__{label}" for text, label in training)
            golden["models"][name] = {
                "file": f"fasttext_0.9.2_{name}.{suffix}",
                "labels": model.labels,
                "accuracy": correct / len(training),
                "predictions": [
                    [[label, float(p)] for label, p in zip(*model.predict(text, k=-1), strict=True)]
                    for text in texts
                ],
            }
    text = json.dumps(golden, ensure_ascii=False, separators=(",", ":"))
    (HERE / "fasttext_0.9.2_predictions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
