"""The compiled functions by name: which of this project's libraries holds each."""

import mindspore as ms

from ..errors import UserError
from .conv_gradient import LIBRARY, why_not_fast
from .library import LIBRARIES, file_of, library_path

GPU_FUNCTIONS = (
    "RoiAlignForward", "RoiAlignBackward", "RoiAlignBackwardOrdered", "MaskCropForward", "PointSampleForward",
    "PointSampleBackward", "PointSampleBackwardOrdered", "NmsForward", "IoUAssignForward",
)  # fmt: skip
OF_A_PROCESS = ("ConvInference", "ConvSumInference")  # their weights are a running process's: no file has them
FUNCTIONS = {
    LIBRARIES["CPU"]: (
        "RoiAlignForward", "RoiAlignBackward", "MaskCropForward", "PointSampleForward", "PointSampleBackward",
        "NmsForward", "SoftNmsForward", "IoUAssignForward", "SampleForward", "AllFiniteForward", "ResizeBilinear",
    ),
    LIBRARIES["GPU"]: GPU_FUNCTIONS,
    LIBRARY: (
        "ConvUsedRows", "ConvBackwardData", "ConvBackwardWeights", "BatchNormForward", "BatchNormBackward",
        "UpsampleNearestForward", "UpsampleNearestBackward", "ResizeBilinearForward", "ResizeBilinearBackward",
        "LabelLogProbabilityForward", "LabelLogProbabilityBackward",
    ),
}  # fmt: skip


def is_known(function: str) -> bool:
    """Whether this project has a compiled function of the name, for whatever device."""
    return any(function in names for names in FUNCTIONS.values())


def library_of(function: str) -> str:
    """Path of the library that has it for the current device. UserError where there is none, or it cannot be used."""
    device = ms.get_context("device_target")
    if function in FUNCTIONS.get(LIBRARIES.get(device, ""), ()):
        return library_path()
    if device != "CPU" or function not in FUNCTIONS[LIBRARY]:
        raise UserError(f"the operator {function} is not compiled for {device}")
    if reason := why_not_fast():
        raise UserError(reason)
    return str(file_of(LIBRARY))
