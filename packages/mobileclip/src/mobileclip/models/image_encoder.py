"""The image encoder of any architecture."""

from jaxtyping import Float
from torch import Tensor, nn

from mobileclip.architectures import ConvolutionalTower, VisionTransformer
from mobileclip.models.mci import Mci
from mobileclip.models.vit import Compatibility
from mobileclip.models.vit import VisionTransformer as VisionTransformerModel


class ImageEncoder(nn.Module):
    """Images to features; the layers are in `model`, as in the released checkpoints.

    Attributes:
        image_size: Height and width, in pixels, of the images that it is made for.
    """

    def __init__(self, model: Mci | VisionTransformerModel, image_size: int) -> None:
        super().__init__()
        self.model = model
        self.image_size = image_size

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed_dim"]:
        """The image features, not normalised."""
        features: Tensor = self.model(images)
        return features

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether the backward pass computes each block's activations again instead of keeping them."""
        self.model.checkpointing = enable


def build_image_encoder(
    tower: ConvolutionalTower | VisionTransformer,
    embed_dim: int,
    *,
    compat: Compatibility = "official",
    head_bias: bool | None = None,
    drop_path_ratio: float = 0.0,
) -> ImageEncoder:
    """An image encoder with random weights, in training mode.

    Args:
        tower: Its sizes.
        embed_dim: Width of the space that images and texts share.
        compat: "open_clip" builds MobileCLIP-B as open_clip does, whose features are 1.1 % off the official
            ones; the other encoders are the same in both.
        head_bias: Whether the projection adds a bias; None: as released, so not for the encoders of the
            first generation (S0, S1, S2, B), and for S3, S4 and L/14, which were trained in timm's form.
        drop_path_ratio: Probability that a sample skips the last block in training; linear from 0 at the
            first.
    """
    if isinstance(tower, VisionTransformer):
        bias = tower.stem == "patch" if head_bias is None else head_bias
        model: Mci | VisionTransformerModel = VisionTransformerModel(
            tower, embed_dim, head_bias=bias, compat=compat, drop_path_ratio=drop_path_ratio
        )
    else:
        bias = len(tower.depths) == 5 if head_bias is None else head_bias
        model = Mci(tower, embed_dim, head_bias=bias, drop_path_ratio=drop_path_ratio)
    return ImageEncoder(model, tower.image_size)
