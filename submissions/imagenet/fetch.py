"""Fetch timm's pretrained weights into one directory, when an image is built: ``python fetch.py /opt/imagenet``.

The entries read these files by path and never ask a network: a contest's containers have none.
"""

import sys
from pathlib import Path

NAMES = (
    "inception_v3.tf_in1k",
    "inception_v3.tf_adv_in1k",
    "inception_v4.tf_in1k",
    "inception_resnet_v2.tf_in1k",
    "inception_resnet_v2.tf_ens_adv_in1k",
)


def main(directory: Path) -> None:
    """Write ``<name>.safetensors`` for each net of 1,000 classes."""
    import timm  # noqa: PLC0415 - seconds to import, and tests read NAMES
    from safetensors.torch import save_file  # noqa: PLC0415

    directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        state = timm.create_model(name, pretrained=True, num_classes=1000).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, directory / f"{name}.safetensors")
        print(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
