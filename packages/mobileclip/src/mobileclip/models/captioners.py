"""Captioners from open_clip's CoCa models and from transformers, named by a short text.

open_clip:coca_ViT-L-14/TAG    a CoCa model of open_clip; the forms of `mobileclip.models.teachers`
transformers:FOLDER_OR_ID      an image-to-text model (BLIP, GIT, a vision encoder-decoder)
file:captions.jsonl            captions made elsewhere, by key
none                           no synthetic captions
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from PIL import Image
from toolkit_shared.errors import InputError, require
from torch import Tensor

from mobileclip.models.devices import usable_device
from mobileclip.models.fingerprints import fingerprint_model
from mobileclip.models.teachers import create_open_clip_model
from mobileclip.reinforcement.captioner import Captioner, NoCaptioner, first_sentence, read_file_captioner

START, END, PADDING = 49406, 49407, 0  # of open_clip's tokens
TOP_P = 0.9
SEQUENCE_LENGTH = 30
MIN_SEQUENCE_LENGTH = 5


def load_captioner(spec: str, device: str = "cpu") -> Captioner:
    """The captioner that `spec` names, in evaluation mode, without gradients.

    Args:
        spec: one of the forms in the module's docstring.
        device: a torch device, or `auto`: CUDA where there is one.

    Raises:
        InputError: the spec names no known form, model or file, or the model does not caption.
        MissingExtra: transformers is asked for and not installed.
    """
    kind, _, rest = spec.partition(":")
    if spec == "none":
        return NoCaptioner()
    if kind == "file" and rest:
        return read_file_captioner(rest)
    if kind == "open_clip" and rest:
        return CocaCaptioner(spec, rest, device)
    if kind == "transformers" and rest:
        return TransformersCaptioner(rest, device)
    raise InputError(
        f"--captioner {spec}: names no captioner; write open_clip:NAME/TAG, transformers:FOLDER, file:PATH "
        "or none"
    )


def draw_top_p(
    logits: Float[Tensor, "rows vocabulary"], uniforms: Float64[np.ndarray, " rows"], top_p: float = TOP_P
) -> Int[np.ndarray, " rows"]:
    """One token a row, drawn among the likeliest tokens that together hold `top_p` of the probability.

    The token is read off the row's cumulative distribution at its number of `uniforms`, so that what is drawn
    for one image does not depend on the images beside it. The token that crosses `top_p` belongs to the set.

    Args:
        logits: of the next token.
        uniforms: one number in [0, 1) a row.
        top_p: share of the probability, above 0, at most 1.
    """
    probabilities = torch.softmax(logits.double().cpu(), dim=-1)
    ordered, order = torch.sort(probabilities, dim=-1, descending=True, stable=True)
    dropped = torch.cumsum(ordered, dim=-1) - ordered >= top_p
    dropped[:, 0] = False  # one token always stays
    # in the vocabulary's order, for among equally likely tokens the last bits decide the order by likelihood
    kept = probabilities.scatter(1, order, torch.where(dropped, 0.0, ordered)).numpy()
    edges = np.cumsum(kept, axis=1)
    chosen = (edges <= uniforms[:, None] * edges[:, -1:]).sum(axis=1)
    last = kept.shape[1] - 1 - np.argmax(kept[:, ::-1] > 0, axis=1)
    drawn: np.ndarray = np.minimum(chosen, last).astype(np.int64)
    return drawn


def sample_tokens(
    next_logits: Callable[[Int[Tensor, "rows tokens"]], Float[Tensor, "rows vocabulary"]],
    generators: Sequence[np.random.Generator],
    *,
    top_p: float = TOP_P,
    sequence_length: int = SEQUENCE_LENGTH,
    min_sequence_length: int = MIN_SEQUENCE_LENGTH,
    device: str | torch.device = "cpu",
) -> Int[np.ndarray, "rows tokens"]:
    """Token sequences of a fixed length: start, what is drawn, end, padding.

    The end is not drawn before there are `min_sequence_length` tokens, and is forced as the last one. Rows
    that have ended still run through the model, so that all steps have one shape.

    Source: `CoCa.generate` of open_clip with `generation_type="top_p"` and
        `fixed_output_length=True`, apart from where the random numbers come from.
    """
    tokens = np.full((len(generators), 1), START, np.int64)
    ended = np.zeros(len(generators), bool)
    while tokens.shape[1] < sequence_length:
        if ended.all():
            padding = np.full((len(tokens), sequence_length - tokens.shape[1]), PADDING, np.int64)
            return np.concatenate([tokens, padding], axis=1)
        uniforms = np.array([generator.random() for generator in generators])
        if tokens.shape[1] + 1 == sequence_length:
            drawn = np.full(len(tokens), END)
        else:
            logits = next_logits(torch.from_numpy(tokens).to(device)).float().cpu()
            if tokens.shape[1] < min_sequence_length:
                logits = logits.clone()
                logits[:, END] = -torch.inf
            drawn = draw_top_p(logits, uniforms, top_p)
        drawn = np.where(ended, PADDING, drawn)
        ended |= (drawn == END) | (drawn == PADDING)
        tokens = np.concatenate([tokens, drawn[:, None]], axis=1)
    return tokens


class CocaCaptioner:
    """A CoCa model of open_clip that draws captions by top-p sampling at a fixed length.

    `generate` of open_clip 3.3 does not run beside transformers 5, and draws from the global generator for a
    whole batch at once; `sample_tokens` stands in for it.
    """

    def __init__(self, spec: str, rest: str, device: str = "cpu") -> None:
        """Load the model.

        Raises:
            InputError: it cannot be loaded, or is no CoCa model.
        """
        import open_clip
        from open_clip.transform import PreprocessCfg, image_transform_v2

        model, _ = create_open_clip_model(spec, rest)
        if not hasattr(model, "text_decoder"):
            raise InputError(f"{spec}: writes no captions; name a CoCa model, such as coca_ViT-L-14")
        self.name = rest.rpartition("/")[2] if "@" in rest else rest
        self.fingerprint = fingerprint_model(model, TOP_P, SEQUENCE_LENGTH, MIN_SEQUENCE_LENGTH)
        self.device = str(usable_device(device))
        self.model: Any = model.to(self.device)
        self.transform: Any = image_transform_v2(
            PreprocessCfg(**open_clip.get_model_preprocess_cfg(model)), is_train=False
        )
        self.decode: Callable[[Tensor], str] = open_clip.decode

    @torch.no_grad()
    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        """`count` captions of each image, cut at the first full stop."""
        if not images or not count:
            return [[] for _ in images]
        pixels = torch.stack([self.transform(image) for image in images]).to(self.device)
        latent, embeddings = self.model._encode_image(pixels)

        def next_logits(tokens: Int[Tensor, "rows tokens"]) -> Float[Tensor, "rows vocabulary"]:
            output = self.model(
                pixels, tokens, image_latent=latent, image_embs=embeddings, output_labels=False
            )
            logits: Tensor = (output["logits"] if isinstance(output, dict) else output[2])[:, -1]
            return logits

        captions: list[list[str]] = [[] for _ in images]
        for number in range(count):
            generators = [np.random.default_rng([seed, number]) for seed in seeds]
            drawn = sample_tokens(next_logits, generators, device=self.device)
            for texts, row in zip(captions, drawn, strict=True):
                texts.append(self._to_text(row))
        return captions

    def _to_text(self, tokens: Int[np.ndarray, " tokens"]) -> str:
        inner = [int(token) for token in tokens if token not in (START, END, PADDING)]
        return first_sentence(self.decode(torch.tensor(inner)))


class TransformersCaptioner:
    """An image-to-text model of transformers that draws captions by top-p sampling."""

    def __init__(self, path: str, device: str = "cpu") -> None:
        """Load the model and its processor.

        Raises:
            InputError: they cannot be loaded, or the model writes no captions.
            MissingExtra: transformers is not installed.
        """
        transformers = require("transformers", toolkit="mobileclip", extra="captions")
        try:
            self.model, self.processor = _load_image_to_text(transformers, path)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"transformers:{path}: cannot be loaded: {reason}; check folder or name"
            ) from None
        self.model = self.model.eval().requires_grad_(False)
        self.name = f"transformers:{path.rstrip('/').rpartition('/')[2]}"
        self.fingerprint = fingerprint_model(self.model, TOP_P, SEQUENCE_LENGTH)
        self.device = str(usable_device(device))
        self.model = self.model.to(self.device)

    @torch.no_grad()
    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        """`count` captions of each image, cut at the first full stop.

        One image at a time: transformers draws for a whole batch from one global generator.
        """
        captions: list[list[str]] = []
        for image, seed in zip(images, seeds, strict=True):
            if not count:
                captions.append([])
                continue
            pixels = self.processor(images=image, return_tensors="pt")["pixel_values"].to(self.device)
            with torch.random.fork_rng(devices=[self.device] if self.device.startswith("cuda") else []):
                torch.manual_seed(seed % 2**63)
                tokens = self.model.generate(
                    pixel_values=pixels,
                    do_sample=True,
                    top_p=TOP_P,
                    top_k=0,
                    num_beams=1,
                    num_return_sequences=count,
                    max_new_tokens=SEQUENCE_LENGTH,
                )
            texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
            captions.append([first_sentence(text) for text in texts])
        return captions


def _load_image_to_text(transformers: Any, path: str) -> tuple[Any, Any]:
    """Model and processor; vision encoder-decoders are of a class apart from BLIP, GIT and others."""
    config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    if config.model_type == "vision-encoder-decoder":
        kind = transformers.VisionEncoderDecoderModel
    else:
        kind = transformers.AutoModelForImageTextToText
    model = kind.from_pretrained(path, config=config, trust_remote_code=False)
    if config.model_type != "vision-encoder-decoder":
        return model, transformers.AutoProcessor.from_pretrained(path, trust_remote_code=False)
    images = transformers.AutoImageProcessor.from_pretrained(path, trust_remote_code=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    return model, _Processor(images, tokenizer)


class _Processor:
    """An image processor and a tokenizer as one, as transformers has them for other captioners."""

    def __init__(self, images: Any, tokenizer: Any) -> None:
        self.images, self.tokenizer = images, tokenizer

    def __call__(self, images: Image.Image, return_tensors: str) -> Any:
        return self.images(images=images, return_tensors=return_tensors)

    def batch_decode(self, tokens: Tensor, skip_special_tokens: bool) -> list[str]:
        texts: list[str] = self.tokenizer.batch_decode(tokens, skip_special_tokens=skip_special_tokens)
        return texts
