"""A stream of MindX SDK as a network: the only part of this folder that needs the SDK and an Ascend."""

import json
from pathlib import Path

import numpy as np

from src.errors import UserError
from src.reading import read_json

NETWORK = "mxpi_tensorinfer0"  # the element of the pipeline that runs the network
INPUT = 0  # appsrc0


class Stream:
    """The stream that a pipeline file describes; calling it takes an encoded image and gives the network's output.

    UserError: the pipeline or its model is missing, the SDK is not installed, or reports an error.
    """

    def __init__(self, pipeline: Path):
        name, text = read_pipeline(pipeline)
        try:
            import MxpiDataType_pb2
            import StreamManagerApi as sdk
        except ImportError as error:
            raise UserError(f"MindX SDK cannot be imported ({error}): source its set_env.sh") from None
        self.sdk, self.messages, self.name = sdk, MxpiDataType_pb2, name.encode()
        self.manager = sdk.StreamManagerApi()
        _check(self.manager.InitManager(), "MindX SDK cannot be started")
        _check(self.manager.CreateMultipleStreams(text.encode()), f"{pipeline}: the stream cannot be made")

    def __call__(self, content: bytes) -> np.ndarray:
        """(N,) float32: all numbers of the network's only output, from the bytes of an image file."""
        image = self.sdk.MxDataInput()
        image.data = content
        if self.manager.SendData(self.name, INPUT, image) < 0:
            raise UserError("MindX SDK: the image cannot be sent to the stream")
        keys = self.sdk.StringVector()
        keys.push_back(NETWORK.encode())
        answers = self.manager.GetProtobuf(self.name, INPUT, keys)
        if answers.size() == 0:
            raise UserError("MindX SDK: the stream gives no result")
        _check(answers[0].errorCode, "MindX SDK: the stream cannot process the image")
        tensors = self.messages.MxpiTensorPackageList()
        tensors.ParseFromString(answers[0].messageBuf)
        return np.frombuffer(tensors.tensorPackageVec[0].tensorVec[0].dataStr, "<f4")

    def close(self) -> None:
        self.manager.DestroyAllStreams()


def read_pipeline(path: Path) -> tuple[str, str]:
    """Name and JSON text of the one stream of a pipeline file, its model's path absolute.

    A relative path of the model starts at the file's folder (the SDK would take the working directory).
    """
    try:
        streams = read_json(path)
        (name,) = streams
        properties = streams[name][NETWORK]["props"]
        model = path.parent.absolute() / properties["modelPath"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no pipeline of one stream with a modelPath in {NETWORK} ({error})") from None
    if not model.is_file():
        raise UserError(f"{path}: its model {model} does not exist; deploy/mindx/convert.sh makes it")
    properties["modelPath"] = str(model)
    return name, json.dumps(streams)


def _check(code: int, what: str) -> None:
    if code != 0:
        raise UserError(f"{what} (error {code})")
