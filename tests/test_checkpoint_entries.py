"""Checkpoints of other people's making: every entry is what its shape says, or the file is one line."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor
from mindspore.train.checkpoint_pb2 import Checkpoint

from src.checkpoint import checkpoint_facts, read_checkpoint
from src.checkpoint_entries import parse_checkpoint
from src.errors import UserError

ARRAYS = {
    **{kind: np.arange(6).reshape(2, 3).astype(kind) for kind in ("int8", "uint16", "int32", "int64", "float16")},
    "float32": np.float32([[1.5, -2]]),
    "float64": np.float64([np.pi]),
    "bool": np.array([True, False]),
    "number": np.int32(7),
}


def written(path, *entries: tuple) -> str:
    checkpoint = Checkpoint()
    for name, dims, kind, content in entries:
        one = checkpoint.value.add(tag=name)
        one.tensor.dims.extend(dims)
        one.tensor.tensor_type, one.tensor.tensor_content = kind, content
    path.write_bytes(checkpoint.SerializeToString())
    return str(path)


@pytest.mark.parametrize("crc", [False, True])
def test_what_mindspore_writes_is_read_as_mindspore_reads_it(tmp_path, crc):
    path = tmp_path / "all.ckpt"
    entries = [{"name": name, "data": Tensor(value)} for name, value in ARRAYS.items()]
    entries.append({"name": "half", "data": Tensor([1.5, -3], ms.bfloat16)})
    ms.save_checkpoint(entries, str(path), crc_check=crc)
    found = parse_checkpoint(path)
    assert list(found) == [*ARRAYS, "half"] and found["half"].tolist() == [1.5, -3]
    loaded = ms.load_checkpoint(str(path))
    for name, value in ARRAYS.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape == loaded[name].shape
        np.testing.assert_array_equal(found[name], loaded[name].asnumpy())


def test_an_array_in_parts_is_whole(tmp_path):
    content = np.arange(6, dtype=np.float32).tobytes()
    parts = [("w", [6], "Float32", content[:8]), ("w", [6], "Float32", content[8:])]
    assert parse_checkpoint(tmp_path / written(tmp_path / "p.ckpt", *parts))["w"].tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "entry",
    [
        ("w", [10**6, 10**6], "Float32", b"1234"),
        ("w", [-5, -5], "Float32", b"1" * 100),
        ("w", [1], "Int32", b"123"),
        ("w", [], "Float64", b"1234"),
        ("w", [1] * 40, "Float32", b"1234"),
        ("w", [4], "os.system('x')", b"1" * 16),
        ("w", [0], "str", b"1234"),
        ("w\nx", [1], "Float32", b"1234"),
        ("w" * 10**5, [1], "Float32", b"1234"),
        ("state/format", [3], "Int32", b"1234" * 3),
        ("state/format", [1], "Float32", b"1234"),
    ],
    ids=lambda entry: f"{entry[0][:12]!r} {entry[1][:2]} {entry[2]}",
)
def test_an_entry_that_is_not_what_it_says_is_one_line(tmp_path, entry):
    with pytest.raises(UserError, match=r"x.ckpt cannot be read, ") as error:
        read_checkpoint(written(tmp_path / "x.ckpt", ("other", [1], "Float32", b"1234"), entry))
    assert "\n" not in str(error.value) and len(str(error.value)) < 300 + len(str(tmp_path))


def test_facts_that_are_nested_without_end_are_one_line(tmp_path):
    text = b"[" * 100_000
    with pytest.raises(UserError, match="its entry state/facts cannot be read"):
        checkpoint_facts(written(tmp_path / "x.ckpt", ("state/facts", [len(text)], "UInt8", text)))
