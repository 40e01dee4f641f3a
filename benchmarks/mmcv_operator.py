"""mmcv's compiled RoIAlign for the CPU as a reference: its one source file, compiled here.

mmcv is on PyPI as a source package alone, whose 60 operators take half an hour to compile; the file of RoIAlign takes a
minute. `python benchmarks/mmcv_operator.py` fetches the package with pip and compiles that file into outputs/mmcv.
"""

import importlib.util
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

VERSION = "2.2.0"
ROOT = Path(__file__).parents[1]
BUILT = ROOT / "outputs" / "mmcv" / "mmcv_roi_align.so"
BINDING = """
#include <torch/extension.h>
using at::Tensor;
#define FORWARD Tensor, Tensor, Tensor, Tensor, Tensor, int, int, float, int, int, bool
void ROIAlignForwardCPULauncher(FORWARD);
void ROIAlignBackwardCPULauncher(FORWARD);
// What mmcv's table of devices is keyed by.
void roi_align_forward_impl(FORWARD) {}
void roi_align_backward_impl(FORWARD) {}
PYBIND11_MODULE(mmcv_roi_align, m) {
  m.def("forward", &ROIAlignForwardCPULauncher);
  m.def("backward", &ROIAlignBackwardCPULauncher);
}
"""


def compiled() -> tuple[str, Callable, Callable]:
    """Name with version, forward(feature, rois, size, stride, ratio) -> pooled and backward(grad, rois, size, stride,
    ratio, shape) -> gradient of the feature, aligned. SystemExit where it was not compiled."""
    import torch

    if not BUILT.exists():
        raise SystemExit(f"error: {BUILT} is missing: python benchmarks/mmcv_operator.py makes it")
    spec = importlib.util.spec_from_file_location("mmcv_roi_align", BUILT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    empty = torch.zeros(0)  # places of max pooling

    def forward(feature, rois, size, stride, ratio):
        pooled = torch.zeros(len(rois), feature.shape[1], size, size)
        module.forward(feature, rois, pooled, empty, empty, size, size, 1 / stride, ratio, 1, True)
        return pooled

    def backward(grad, rois, size, stride, ratio, shape):
        gradient = torch.zeros(shape)
        module.backward(grad, rois, empty, empty, gradient, size, size, 1 / stride, ratio, 1, True)
        return gradient

    return f"mmcv {VERSION}", forward, backward


def build() -> None:
    import torch
    from torch.utils.cpp_extension import include_paths

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", f"{folder}/environment"], check=True)
        pip = f"{folder}/environment/bin/pip"
        subprocess.run([pip, "install", "--quiet", "setuptools<75", "wheel"], check=True)  # with pkg_resources
        words = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", folder, f"mmcv=={VERSION}")
        subprocess.run([pip, "download", "--quiet", *words], check=True)
        with tarfile.open(f"{folder}/mmcv-{VERSION}.tar.gz") as package:
            package.extractall(folder, filter="data")
        operators = Path(folder, f"mmcv-{VERSION}", "mmcv", "ops", "csrc")
        Path(folder, "binding.cpp").write_text(BINDING)
        places = [*include_paths(), sysconfig.get_path("include"), operators / "common"]
        library = Path(torch.__file__).parent / "lib"
        BUILT.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["g++", "-O3", "-fPIC", "-shared", "-std=c++20", "-DTORCH_EXTENSION_NAME=mmcv_roi_align"]
            + [f"-I{place}" for place in places]
            + [str(operators / "pytorch" / "cpu" / "roi_align.cpp"), f"{folder}/binding.cpp", "-o", str(BUILT)]
            + [f"-L{library}", "-ltorch", "-ltorch_cpu", "-lc10", "-ltorch_python"],
            check=True,
        )


if __name__ == "__main__":
    build()
