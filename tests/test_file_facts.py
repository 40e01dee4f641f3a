"""Facts of files, found by leaping over everything else: against the framework's own readers and writers."""

import json
import os

import numpy as np
import onnx
import pytest
from mindspore.train.mind_ir_pb2 import ModelProto

from src.checkpoint import checkpoint_facts, save_arrays
from src.errors import UserError
from src.file_facts import CHECKSUM, MOST_BYTES, read_facts

FACTS = {"task": "detection", "class_names": ["é", 'a "b" <c>'], "config": {"num_classes": 3, "lr": 1e-05}}


def field(number: int, content: bytes) -> bytes:
    """A field with a size, shorter than 128 bytes or of up to 16,383."""
    size = len(content)
    return bytes([number << 3 | 2]) + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + content


def entry(name: bytes, content: bytes) -> bytes:
    return field(1, field(1, name) + field(2, b"\x08\x02" + field(2, b"UInt8") + field(3, content)))


def test_facts_are_those_that_the_checkpoint_was_written_with(tmp_path):
    path = tmp_path / "k.ckpt"
    arrays = {"a.weight": np.arange(12, dtype=np.float32).reshape(3, 4), "n": np.int32(3)}
    save_arrays(arrays, path, FACTS)
    assert read_facts(path) == FACTS == checkpoint_facts(path)
    save_arrays(arrays, path)
    assert read_facts(path) == {}


def test_weights_are_leapt_over(tmp_path):
    """A file with a hole of a terabyte for weights: nothing of it is read."""
    path = tmp_path / "k.ckpt"
    size = 2**40
    varint = bytes((size >> 7 * k & 127) | (128 if k < 5 else 0) for k in range(6))
    with open(path, "wb") as file:
        file.write(b"\x12" + varint)
        file.seek(size, os.SEEK_CUR)
        file.write(entry(b"state/facts", b'{"task": "x"}'))
    assert read_facts(path) == {"task": "x"}


def test_metadata_of_exported_files_are_what_their_own_libraries_write(tmp_path):
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    onnx.helper.set_model_props(model, {"task": '"detection"', "configuration": '{"a": [1, 2]}', "note": "plain text"})
    onnx.save(model, tmp_path / "m.ONNX")
    assert read_facts(tmp_path / "m.ONNX") == {
        "task": "detection", "configuration": {"a": [1, 2]}, "note": "plain text",
    }  # fmt: skip
    graph = ModelProto(ir_version="0.1", mind_ir_version=3)
    graph.graph.name = "g"
    graph.user_info.add(key="configuration", value='{"b": 1}')
    (tmp_path / "m.mindir").write_bytes(graph.SerializeToString())
    assert read_facts(tmp_path / "m.mindir") == {"configuration": {"b": 1}}


def test_a_file_of_pytorch_and_one_of_another_kind_say_nothing(tmp_path):
    for name, content in (("a.ckpt", b"PK\x03\x04"), ("b.ckpt", b"\x80\x02}"), ("c.pth", b"anything")):
        (tmp_path / name).write_bytes(content)
        assert read_facts(tmp_path / name) == {}


@pytest.mark.parametrize(
    "content,message",
    [
        (entry(b"state/facts", b"{}")[:-1], "longer than what holds it"),
        (b"\x0a", "(a number in it does not end|longer than what holds it)"),
        (b"\xff" * 30, "a number in it does not end"),
        (b"\x0b\x00", "a field of it is of kind 3"),
        (entry(b"state/facts", b"[1]"), "is no mapping"),
        (entry(b"state/facts", b"{]"), "line 1"),
        (entry(b"n" * 301, b""), "a name in it too long"),
        (b"\x0a\x00" * 200_001, "more than 200,000 fields in a row"),
    ],
)
def test_a_damaged_or_hostile_file_is_one_line(tmp_path, content, message):
    for ending in (b"", CHECKSUM + bytes(10)):
        path = tmp_path / "k.ckpt"
        path.write_bytes(content + ending)
        said = rf"k\.ckpt cannot be read, it is cut off, damaged or no checkpoint \(.*{message}"
        with pytest.raises(UserError, match=said):
            read_facts(path)


@pytest.mark.parametrize("name,kind", [("p.onnx", "ONNX file"), ("p.mindir", "MINDIR file"), ("p.ckpt", "checkpoint")])
def test_a_picture_or_a_text_of_their_name_is_none_of_them(tmp_path, name, kind):
    for content in (b"\x89PNG\r\n\x1a\n" + bytes(90), b"not a network at all, but a text"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} cannot be read, it is cut off, damaged or no {kind} \("):
            read_facts(tmp_path / name)


def test_facts_without_end_are_not_read(tmp_path):
    path = tmp_path / "k.ckpt"
    save_arrays({"a": np.zeros(1, np.float32)}, path, {"class_names": ["n" * 50] * (MOST_BYTES // 50)})
    with pytest.raises(UserError, match="longer than 8,388,608 bytes"):
        read_facts(path)


def test_what_is_no_file_is_said_as_ever(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint .*none\.ckpt does not exist"):
        read_facts(tmp_path / "none.ckpt")
    with pytest.raises(UserError, match="is a folder"):
        read_facts(tmp_path)


def test_json_of_facts_survives_any_name(tmp_path):
    facts = {"class_names": ["\ud800", "ü" * 300, "\x00", "</script>"]}
    (tmp_path / "k.ckpt").write_bytes(entry(b"state/facts", json.dumps(facts).encode()))
    assert read_facts(tmp_path / "k.ckpt") == facts
