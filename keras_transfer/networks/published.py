"""The table of ImageNet weights that Keras 3.15 publishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["IMAGENET", "Published", "variant_key"]


@dataclass(frozen=True)
class Published:
    """A file of weights without top, in Keras 2's layout.

    Attributes:
        url: Where it is, with ``{size}`` where there is one for each of several sizes.
        hash: MD5 or SHA-256 of the file in hex; empty where Keras publishes none.
        file: Its name on disk, where that is not the last part of the URL.
        sizes: Sides of images with a file of their own; any other takes that of 224.
    """

    url: str
    hash: str = ""
    file: str = ""
    sizes: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Keras's name of the file on disk."""
        return self.file or self.url.rpartition("/")[2]


_ROOT = "https://storage.googleapis.com/"
_FOLDER = _ROOT + "tensorflow/keras-applications/"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"


def _kernels(folder: str, name: str, digest: str) -> Published:
    return Published(f"{_FOLDER}{folder}/{name}_{_KERNELS}_notop.h5", digest)


def _mobilenet_v3(name: str, digest: str) -> Published:
    file = f"weights_mobilenet_v3_{name}_float_no_top_v2.h5"
    return Published(f"{_FOLDER}mobilenet_v3/{file}", digest)


def variant_key(name: str, variant: Mapping[str, Any]) -> str:
    """Name a variant by the options in which it differs from the default."""
    return " ".join([name, *(f"{option}={variant[option]}" for option in sorted(variant))])


IMAGENET: dict[str, Published] = {
    "vgg16": _kernels("vgg16", "vgg16", "6d6bbae143d832006294945121d1f1fc"),
    "vgg19": _kernels("vgg19", "vgg19", "253f8cb515780f3b799900260a226db6"),
    "resnet50": _kernels("resnet", "resnet50", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101": _kernels("resnet", "resnet101", "88cf7a10940856eca736dc7b7e228a21"),
    "resnet152": _kernels("resnet", "resnet152", "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    "resnet50_v2": _kernels("resnet", "resnet50v2", "fac2f116257151a9d068a22e544a4917"),
    "resnet101_v2": _kernels("resnet", "resnet101v2", "c0ed64b8031c3730f411d2eb4eea35b5"),
    "resnet152_v2": _kernels("resnet", "resnet152v2", "ed17cf2e0169df9d443503ef94b23b33"),
    "inception_v3": _kernels("inception_v3", "inception_v3", "bcbd6486424b2319ff4ef7d526e38f63"),
    "inception_resnet_v2": _kernels(
        "inception_resnet_v2", "inception_resnet_v2", "d19885ff4a710c122648d3b5c3b684e4"
    ),
    "xception": _kernels("xception", "xception", "b0042744bf5b25fce3cb969f33bebb97"),
    **{
        variant_key("mobilenet", {} if alpha == 1 else {"alpha": alpha}): Published(
            f"{_FOLDER}mobilenet/mobilenet_{text}_{{size}}_tf_no_top.h5",
            sizes=(128, 160, 192, 224),
        )
        for alpha, text in [(1.0, "1_0"), (0.25, "2_5"), (0.5, "5_0"), (0.75, "7_5")]
    },
    **{
        variant_key("mobilenet_v2", {} if alpha == 1 else {"alpha": alpha}): Published(
            f"{_FOLDER}mobilenet_v2/mobilenet_v2_{_KERNELS}_{alpha}_{{size}}_no_top.h5",
            sizes=(96, 128, 160, 192, 224),
        )
        for alpha in (1.0, 0.35, 0.5, 0.75, 1.3, 1.4)
    },
    "mobilenet_v3_small": _mobilenet_v3("small_224_1.0", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "mobilenet_v3_small alpha=0.75": _mobilenet_v3(
        "small_224_0.75", "ebdb5cc8e0b497cd13a7c275d475c819"
    ),
    "mobilenet_v3_small minimalistic=True": _mobilenet_v3(
        "small_minimalistic_224_1.0", "cde8136e733e811080d9fcd8a252f7e4"
    ),
    "mobilenet_v3_large": _mobilenet_v3("large_224_1.0", "07fb09a5933dd0c8eaafa16978110389"),
    "mobilenet_v3_large alpha=0.75": _mobilenet_v3(
        "large_224_0.75", "40af19a13ebea4e2ee0c676887f69a2e"
    ),
    "mobilenet_v3_large minimalistic=True": _mobilenet_v3(
        "large_minimalistic_224_1.0", "ec5221f64a2f6d1ef965a614bdae7973"
    ),
    "densenet121": _kernels("densenet", "densenet121", "30ee3e1110167f948a6b9946edeeb738"),
    "densenet169": _kernels("densenet", "densenet169", "b8c4d4c20dd625c148057b9ff1c1176b"),
    "densenet201": _kernels("densenet", "densenet201", "c13680b51ded0fb44dff2d8f86ac8bb1"),
    "nasnet_mobile": Published(
        f"{_FOLDER}nasnet/NASNet-mobile-no-top.h5",
        "1ed92395b5b598bdda52abe5c0dbfd63",
        "nasnet_mobile_no_top.h5",
    ),
    "nasnet_large": Published(
        f"{_FOLDER}nasnet/NASNet-large-no-top.h5",
        "d81d89dc07e6e56530c4e77faddd61b5",
        "nasnet_large_no_top.h5",
    ),
    **{
        f"efficientnet_b{n}": Published(
            f"{_ROOT}keras-applications/efficientnetb{n}_notop.h5", digest
        )
        for n, digest in enumerate(
            [
                "50bc09e76180e00e4465e1a485ddc09d",
                "74c4e6b3e1f6a1eea24c589628592432",
                "111f8e2ac8aa800a7a99e3239f7bfb39",
                "af6d107764bb5b1abb91932881670226",
                "ebc24e6d6c33eaebbd558eafbeedf1ba",
                "38879255a25d3c92d5e44e04ae6cec6f",
                "9ecce42647a20130c1f39a5d4cb75743",
                "cbcfe4450ddf6f3ad90b1b398090fe4a",
            ]
        )
    },
    **{
        f"efficientnet_v2_{n}": Published(
            f"{_FOLDER}efficientnet_v2/efficientnetv2-{n}_notop.h5", digest
        )
        for n, digest in [
            ("b0", "893217f2bb855e2983157299931e43ff"),
            ("b1", "0e80663031ca32d657f9caa404b6ec37"),
            ("b2", "1dfe2e7a5d45b6632553a8961ea609eb"),
            ("b3", "f6abf7b5849ac99a89b50dd3fd532856"),
            ("s", "af0682fb74e8c54910f2d4393339c070"),
            ("m", "1b8dc055df72dde80d614482840fe342"),
            ("l", "b0b66b5c863aef5b46e8608fe1711615"),
        ]
    },
    **{
        f"convnext_{n}": Published(f"{_FOLDER}convnext/convnext_{n}_notop.h5", digest)
        for n, digest in [
            ("tiny", "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
            ("small", "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab"),
            ("base", "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45"),
            ("large", "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd"),
            ("xlarge", "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05"),
        ]
    },
}
"""The files, by ``variant_key``."""
