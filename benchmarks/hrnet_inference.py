"""HRNet classification, inference on the CPU: folded and unfolded batch normalisation against timm's PyTorch network.

    python benchmarks/hrnet_inference.py [WIDTH ...]      (default 18 48)

One image of 224x224, fresh weights. Prints seconds per image and the ratio to PyTorch in the same run.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("GLOG_v", "3")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from mindspore import Tensor  # noqa: E402

from benchmarks.figures import Figure, add_figures_option, show, versioned  # noqa: E402
from benchmarks.timing import median_ms  # noqa: E402
from src.config import load_config  # noqa: E402
from src.models.fold import fold_batchnorm  # noqa: E402
from src.tasks import build_model  # noqa: E402
from tests.models.timm_models import import_timm  # noqa: E402


def figures(widths: Sequence[str]) -> Iterator[Figure]:
    ms.set_context(mode=ms.GRAPH_MODE, device_target="CPU")
    image = np.random.RandomState(0).randn(1, 3, 224, 224).astype(np.float32)
    for width in widths:
        times = {}
        for name in ("unfolded", "folded"):
            model = build_model(load_config(f"{ROOT}/configs/hrnet_w{width}_cls.yaml", ["--device_target", "CPU"]))
            if name == "folded":
                fold_batchnorm(model)
            model.set_train(False)
            times[name] = median_ms(lambda: model(Tensor(image)).asnumpy())  # noqa: B023 (called at once)
        network = import_timm().create_model(f"hrnet_w{width}").eval()
        with torch.no_grad():
            reference = median_ms(lambda: network(torch.tensor(image)))  # noqa: B023
        for name, own in times.items():
            what = f"HRNet-W{width} classification, 224x224, normalisation {name}"
            yield Figure(what, own / 1e3, reference / 1e3, "s", f"{versioned('timm')}, {versioned('torch', 'PyTorch')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widths", nargs="*", default=["18", "48"], metavar="WIDTH")
    add_figures_option(parser)
    options = parser.parse_args()
    show(figures(options.widths), options.figures)


if __name__ == "__main__":
    main()
