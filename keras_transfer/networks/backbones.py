"""The table of backbones: constructor, preprocessing and blocks of each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from keras_transfer.errors import BadConfiguration, UnknownName
from keras_transfer.networks.backbone_spec import BackboneSpec, Marks
from keras_transfer.networks.hub_backbones import HUB_BACKBONES
from keras_transfer.tables import Table

if TYPE_CHECKING:
    import keras

__all__ = ["BACKBONES", "BackboneSpec", "Marks", "build_backbone", "checked_variant"]


_VGG = Marks(r"(block\d+)_")
_RESNET = Marks(r"(conv\d)_")
_INCEPTION = Marks(r"(mixed\d+)$", ends=True)
_INCEPTION_RESNET = Marks(r"(mixed_\d[ab]|block\d+_\d+|conv_7b)(?:_|$)", ends=True)
# Groups are joined: conv_dw_3 and conv_pw_3 are both in the block conv_3.
_MOBILENET = Marks(r"(conv)(?:_(?:pad|dw|pw)(_\d+)|(1)(?:_|$))")
_MOBILENET_V2 = Marks(r"(Conv1|expanded_conv|block_\d+|Conv_1)(?:_|$)")
_MOBILENET_V3 = Marks(r"(conv_1|expanded_conv(?:_\d+)?|conv)(?:_[a-z]|$)")
_NASNET = Marks(r"(normal|reduction)_concat(_\w+)$", ends=True)
_EFFICIENTNET = Marks(r"(?:(stem|top)|(block\d+)[a-z])_")
_CONVNEXT = Marks(r"convnext_[a-z]+_(stem|stage_\d+)(?:_|$)", ends=True)

_V1 = {"alpha": (1.0, 0.25, 0.5, 0.75)}
_V2 = {"alpha": (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)}
_V3 = {"alpha": (1.0, 0.75), "minimalistic": (False, True)}


def _keras(
    name: str, preprocessing: str, marks: Marks, parameters: int, **more: Any
) -> BackboneSpec:
    return BackboneSpec(f"keras.applications:{name}", preprocessing, marks, parameters, **more)


BACKBONES: Table[BackboneSpec] = Table(
    "backbone",
    {
        "vgg16": _keras("VGG16", "caffe", _VGG, 14_714_688),
        "vgg19": _keras("VGG19", "caffe", _VGG, 20_024_384),
        "resnet50": _keras("ResNet50", "caffe", _RESNET, 23_587_712),
        "resnet101": _keras("ResNet101", "caffe", _RESNET, 42_658_176),
        "resnet152": _keras("ResNet152", "caffe", _RESNET, 58_370_944),
        "resnet50_v2": _keras("ResNet50V2", "tf", _RESNET, 23_564_800),
        "resnet101_v2": _keras("ResNet101V2", "tf", _RESNET, 42_626_560),
        "resnet152_v2": _keras("ResNet152V2", "tf", _RESNET, 58_331_648),
        "inception_v3": _keras("InceptionV3", "tf", _INCEPTION, 21_802_784, size=299, least=75),
        "inception_resnet_v2": _keras(
            "InceptionResNetV2", "tf", _INCEPTION_RESNET, 54_336_736, size=299, least=75
        ),
        # Keras names Xception's layers as VGG's, and DenseNet's as ResNet's.
        "xception": _keras("Xception", "tf", _VGG, 20_861_480, size=299, least=71),
        "mobilenet": _keras("MobileNet", "tf", _MOBILENET, 3_228_864, variants=_V1),
        "mobilenet_v2": _keras("MobileNetV2", "tf", _MOBILENET_V2, 2_257_984, variants=_V2),
        # "none": the network has Rescaling or Normalization layers of its own.
        "mobilenet_v3_small": _keras(
            "MobileNetV3Small", "none", _MOBILENET_V3, 939_120, variants=_V3
        ),
        "mobilenet_v3_large": _keras(
            "MobileNetV3Large", "none", _MOBILENET_V3, 2_996_352, variants=_V3
        ),
        "densenet121": _keras("DenseNet121", "torch", _RESNET, 7_037_504),
        "densenet169": _keras("DenseNet169", "torch", _RESNET, 12_642_880),
        "densenet201": _keras("DenseNet201", "torch", _RESNET, 18_321_984),
        "nasnet_mobile": _keras("NASNetMobile", "tf", _NASNET, 4_269_716),
        "nasnet_large": _keras("NASNetLarge", "tf", _NASNET, 84_916_818, size=331),
        **{
            f"efficientnet_b{n}": _keras(
                f"EfficientNetB{n}", "efficientnet", _EFFICIENTNET, parameters, size=size
            )
            for n, (parameters, size) in enumerate(
                [
                    (4_049_571, 224),
                    (6_575_239, 240),
                    (7_768_569, 260),
                    (10_783_535, 300),
                    (17_673_823, 380),
                    (28_513_527, 456),
                    (40_960_143, 528),
                    (64_097_687, 600),
                ]
            )
        },
        **{
            f"efficientnet_v2_{n.lower()}": _keras(
                f"EfficientNetV2{n}", "none", _EFFICIENTNET, parameters, size=size
            )
            for n, parameters, size in [
                ("B0", 5_919_312, 224),
                ("B1", 6_931_124, 240),
                ("B2", 8_769_374, 260),
                ("B3", 12_930_622, 300),
                ("S", 20_331_360, 384),
                ("M", 53_150_388, 480),
                ("L", 117_746_848, 480),
            ]
        },
        "convnext_tiny": _keras("ConvNeXtTiny", "none", _CONVNEXT, 27_820_128),
        "convnext_small": _keras("ConvNeXtSmall", "none", _CONVNEXT, 49_454_688),
        "convnext_base": _keras("ConvNeXtBase", "none", _CONVNEXT, 87_566_464),
        "convnext_large": _keras("ConvNeXtLarge", "none", _CONVNEXT, 196_230_336),
        "convnext_xlarge": _keras("ConvNeXtXLarge", "none", _CONVNEXT, 348_147_968),
        "convnet_small": BackboneSpec(
            "keras_transfer.networks.convnet_small:convnet_small",
            "tf",
            _VGG,
            288_352,
            size=32,
            least=8,
        ),
        **HUB_BACKBONES,
    },
)


def build_backbone(
    name: str,
    *,
    image_size: int | None = None,
    variant: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Build a network without top, without pooling, with random weights.

    It takes (batch, image_size, image_size, 3) float32 that ``preprocess`` has made of pixels,
    and gives a map of features, (batch, height, width, channels), or tokens, (batch, tokens,
    channels), where its row has ``prefix_tokens``.

    Its dropout is off (EfficientNets have some), so that it answers in training as it does in
    ``predict`` wherever its batch normalisation is frozen. Calling it with ``training=False``
    would not do: in ``fit``, Keras 3 hands its own ``training=True`` to nested models.

    Args:
        name: A row of ``BACKBONES``.
        image_size: Side of the images in pixels; the network's native size if None.
        variant: Options such as ``{"alpha": 0.35}``.
        config: What the preset of a network of KerasHub says, as ``preset_config`` returns it.

    Returns:
        A functional model called "backbone".

    Raises:
        UnknownName: No such network, or no such option of it.
        BadConfiguration: The size is too small, or no multiple of a patch; or the option has other
            values.
    """
    row = BACKBONES[name]
    size = _checked_size(name, row.size if image_size is None else image_size)
    # Checks come before the import: a wrong name is reported without waiting for Keras.
    options = checked_variant(name, variant)
    if row.hub is not None:
        from keras_transfer.networks.hub import HubBackbone

        config = config or row.hub.config
        return HubBackbone(row.hub.family, config, size, prefix_tokens=row.prefix_tokens)
    import keras

    module, _, constructor = row.constructor.partition(":")
    # Never weights="imagenet": Keras would then add a Rescaling layer to EfficientNets.
    network = getattr(import_module(module), constructor)(
        include_top=False, weights=None, input_shape=(size, size, 3), **options
    )
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    # A fixed name, by which `Network.of` finds the backbone of a model from a file.
    return keras.Model(network.input, network.output, name="backbone")


def _checked_size(name: str, size: int) -> int:
    minimum, step = BACKBONES[name].least, BACKBONES[name].step
    if size < minimum:
        raise BadConfiguration(
            f"{name} takes images of at least {minimum} x {minimum} pixels, not {size} x {size}. "
            f"Take image_size = {minimum} or more, or another backbone."
        )
    if size % step:
        raise BadConfiguration(
            f"{name} takes images whose side is a multiple of {step} pixels, not {size}. "
            f"Take image_size = {size // step * step} or {size // step * step + step}."
        )
    return size


def checked_variant(name: str, variant: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the options of a variant, and return those that differ from the defaults.

    Raises:
        UnknownName: The network has no such option.
        BadConfiguration: The option has other values, or there are none.
    """
    allowed = BACKBONES[name].variants
    if variant and not allowed:
        raise BadConfiguration(
            f"variant = {dict(variant)}: {name} has no variants. Leave it out: --set variant={{}}."
        )
    chosen = {}
    for option, value in (variant or {}).items():
        if option not in allowed:
            raise UnknownName(f"variant option of {name}", option, allowed)
        if value not in allowed[option]:
            values = ", ".join(str(choice) for choice in sorted(allowed[option]))
            raise BadConfiguration(f"{option} of {name} is one of {values}; got {value}.")
        chosen[option] = allowed[option][allowed[option].index(value)]  # 1.0 where 1 was given
    return {option: value for option, value in chosen.items() if value != allowed[option][0]}
