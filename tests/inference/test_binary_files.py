"""The manifest between deploy's steps names files that are read and written: only those of its own folders."""

import json

import pytest

from src.errors import UserError
from src.inference.binary_files import SEEN_BY, read_manifest
from tests.end_to_end.commands import run

MANIFEST = {
    "format": 2,
    "input_shape": [1, 3, 8, 8],
    "classes": 2,
    "keys": dict.fromkeys(SEEN_BY, 1),
    "samples": [{"name": "a", "inputs": ["a"], "label": "a.png", "image_size": [8, 8]}],
}


def sample(**changes) -> dict:
    return {"samples": [MANIFEST["samples"][0] | changes]}


@pytest.mark.parametrize(
    "change,message",
    [
        *((sample(inputs=[name]), "sample 1 has the input .*, which is not the name of a file in inputs/")
          for name in ("/etc/hostname", "../a", "a/b", "..", ".", "", "a\0b", "x" * 300, 3, None)),
        (sample(inputs=None), "sample 1 has no list of inputs"),
        (sample(image_size=[10**6, 10**6]), "sample 1 has the image_size"),
        (sample(label=5), "sample 1 has no label"),
        ({"samples": [7]}, "sample 1 has no list"),
        ({"samples": None}, "its samples is not as"),
        ({"input_shape": [1, 3, 10**9, 10**9]}, "its input_shape is not as"),
        ({"classes": 10**12}, "its classes is not as"),
        ({"keys": {}}, "its keys is not as"),
    ],
)  # fmt: skip
def test_a_manifest_that_preprocessing_does_not_write_is_one_line(tmp_path, change, message):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST | change))
    with pytest.raises(UserError, match=f"manifest.json: {message}") as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value)
    (tmp_path / "m.onnx").touch()
    paths = ("--model", tmp_path / "m.onnx", "--preprocess_path", tmp_path, "--result_path", tmp_path / "results")
    run("deploy/infer_files.py", *paths, status=2)
    assert not (tmp_path / "results").exists()


def test_a_sound_manifest_is_read(tmp_path):
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST))
    assert read_manifest(tmp_path) == MANIFEST
