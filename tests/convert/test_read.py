"""Foreign files: every format gives PyTorch's values, nothing that a file names is run, bad files are one line."""

import argparse
import collections
import os
import pickle
import struct
import sys
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from src.convert.read import read_foreign
from src.errors import UserError


def tensors() -> collections.OrderedDict:
    """Views, shared storages, every kind of number."""
    generator = torch.Generator().manual_seed(0)
    base = torch.arange(24, dtype=torch.float32)
    state = collections.OrderedDict(
        transposed=base.reshape(4, 6).t(),
        part=base[3:9],
        every_other=base.reshape(4, 6)[::2, 1::3],
        half=torch.randn(3, 2, generator=generator).half(),
        brain=torch.randn(4, 3, generator=generator).bfloat16().t(),
        double=torch.randn(2, generator=generator).double(),
        count=torch.tensor(7),
        flags=torch.tensor([True, False]),
        bytes=torch.tensor([1, 255], dtype=torch.uint8),
        empty=torch.zeros(0, 3),
        repeated=torch.ones(1).expand(3, 4),
        parameter=torch.nn.Parameter(torch.ones(2, 2)),
    )
    state._metadata = {"": {"version": 2}}
    return state


def values(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def save(content, path, is_zip: bool, **kwargs):
    torch.save(content, path, _use_new_zipfile_serialization=is_zip, **kwargs)


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_pytorch_files_give_pytorchs_values(is_zip, protocol, tmp_path):
    state = tensors()
    save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth", is_zip, pickle_protocol=protocol)
    found = read_foreign(tmp_path / "w.pth")
    assert list(found.tensors) == list(state) and found.entry == "state_dict" and found.metadata == {"epoch": 3}
    for name, tensor in state.items():
        np.testing.assert_array_equal(found.tensors[name], values(tensor), err_msg=name)
        assert found.tensors[name].dtype == values(tensor).dtype


def test_safetensors_give_their_values(tmp_path):
    state = {name: tensor.detach().clone().contiguous() for name, tensor in tensors().items()}
    save_file(state, tmp_path / "w.safetensors")
    found = read_foreign(tmp_path / "w.safetensors")
    assert set(found.tensors) == set(state)
    for name, tensor in state.items():
        np.testing.assert_array_equal(found.tensors[name], values(tensor), err_msg=name)


@pytest.mark.parametrize("protocol", range(6))
def test_pickled_arrays_of_every_protocol_give_their_values(protocol, tmp_path):
    rng = np.random.RandomState(0)
    arrays = collections.OrderedDict(
        plain=rng.randn(2, 3).astype(np.float32),
        fortran=np.asfortranarray(rng.randn(3, 4)),
        big=np.arange(3, dtype=">i4"),
    )
    content = {"model": arrays, "__author__": "somebody", "scale": np.float64(2)}
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_foreign(tmp_path / "w.pkl")
    assert found.metadata == {"__author__": "somebody", "scale": 2.0}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.tensors[name], array)


def test_a_pickle_of_python_2_is_read(tmp_path):
    """Its texts are bytes; NumPy's module had the same name."""
    array = np.float32([1.5, -2])
    program = (
        b"}U\x01w" + b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        + b"(K\x01(K\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"I00\nU\x08" + array.tobytes() + b"tbs."
    )  # fmt: skip
    (tmp_path / "w.pkl").write_bytes(program)
    np.testing.assert_array_equal(read_foreign(tmp_path / "w.pkl").tensors["w"], array)


@pytest.mark.parametrize(
    "content,entry",
    [
        ({"state_dict": {"w": torch.ones(2)}, "optimizer": {"state": {}}}, "state_dict"),
        ({"model": {"state_dict": {"w": torch.ones(2)}}}, "model.state_dict"),
        ({"model": {"w": torch.ones(2)}, "model_ema": {"w": torch.zeros(2)}}, "model"),
        ({"state_dict_ema": {"w": torch.ones(2)}}, "state_dict_ema"),
        ({"w": torch.ones(2)}, ""),
    ],
)
def test_weights_are_found_in_the_usual_containers(content, entry, tmp_path):
    save(content, tmp_path / "w.pth", True)
    found = read_foreign(tmp_path / "w.pth")
    assert found.entry == entry and list(found.tensors) == ["w"] and found.tensors["w"].sum() == 2
    assert found.others == (["model_ema"] if "model_ema" in content else [])


def test_another_entry_can_be_asked_for(tmp_path):
    save({"model": {"w": torch.ones(2)}, "teacher": {"net": {"w": torch.zeros(2)}}}, tmp_path / "w.pth", True)
    assert read_foreign(tmp_path / "w.pth", "teacher.net").tensors["w"].sum() == 0
    with pytest.raises(UserError, match="no dict nothing; there are model, teacher"):
        read_foreign(tmp_path / "w.pth", "nothing")


class MakesFile:
    """Pickled, it asks for a file to be made."""

    def __init__(self, path, how):
        self.path, self.how = str(path), how

    def __reduce__(self):
        if self.how == "os.system":
            return os.system, (f"touch {self.path}",)
        if self.how == "eval":
            return eval, (f"open({self.path!r}, 'w')",)
        return open, (self.path, "w")


@pytest.mark.parametrize("how", ["os.system", "eval", "open"])
@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("place", ["metadata", "tensors"])
def test_a_file_that_asks_for_code_is_refused_and_the_code_not_run(how, kind, place, tmp_path):
    evil, marker = MakesFile(tmp_path / "made", how), tmp_path / "made"
    weight = np.ones(2) if kind == "pickle" else torch.ones(2)
    content = {"state_dict": {"w": weight}, "meta": evil} if place == "metadata" else {"state_dict": {"w": evil}}
    path = tmp_path / ("w.pkl" if kind == "pickle" else "w.pth")
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        save(content, path, kind == "zip")
    with pytest.raises(UserError, match=r"w\.p\w+ is refused: it asks for .*nothing of it was run") as error:
        read_foreign(path)
    assert not marker.exists() and "\n" not in str(error.value)
    with open(path, "rb") as file:
        if kind == "pickle":  # the trap works: a plain reader falls into it
            pickle.load(file)
            assert marker.exists()


class Config(dict):
    """A class of some project, as MMDetection's ConfigDict in `meta`."""

    def smooth(self):
        """MMEngine's logs are pickled with their methods, which go by getattr."""


def test_objects_of_unknown_classes_beside_the_weights_are_stood_in_for(tmp_path, monkeypatch):
    monkeypatch.setattr(Config, "__module__", "mmengine.config")
    package = types.ModuleType("mmengine")
    package.config = types.ModuleType("mmengine.config")
    package.config.Config = Config
    monkeypatch.setitem(sys.modules, "mmengine", package)
    monkeypatch.setitem(sys.modules, "mmengine.config", package.config)
    config = Config(a=1)
    meta = {"cfg": config, "args": argparse.Namespace(lr=1), "smooth": config.smooth, "seen": {1, 2}}
    save({"state_dict": {"w": torch.ones(2)}, "meta": meta}, tmp_path / "w.pth", True)
    called = []
    monkeypatch.setattr(Config, "__setitem__", lambda *_: called.append(1))
    monkeypatch.setattr(Config, "__init__", lambda *_: called.append(1))
    found = read_foreign(tmp_path / "w.pth")
    assert list(found.tensors) == ["w"] and not called
    assert {"mmengine.config.Config", "argparse.Namespace", "builtins.getattr"} <= set(found.placeholders)
    (tmp_path / "w.pkl").write_bytes(pickle.dumps({"model": {"w": np.ones(2)}, "cfg": Config()}))
    with pytest.raises(UserError, match="asks for mmengine.config.Config"):
        read_foreign(tmp_path / "w.pkl")


def test_a_pickle_cannot_change_the_reader(tmp_path):
    """BUILD on a rebuilder: the attack that plain function tables are open to."""
    program = b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00wc_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sbu."
    (tmp_path / "w.pkl").write_bytes(program)
    with pytest.raises(UserError, match="change the reader"):
        read_foreign(tmp_path / "w.pkl")


def test_a_whole_module_is_refused_with_what_to_do(tmp_path):
    for is_zip in (True, False):
        path = tmp_path / f"{is_zip}.pth"
        save({"model": torch.nn.Linear(2, 2)}, path, is_zip)
        with pytest.raises(UserError, match=r"state_dict\(\)"):
            read_foreign(path)
    scripted = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(scripted, str(tmp_path / "script.pth"))
    with pytest.raises(UserError, match="TorchScript"):
        read_foreign(tmp_path / "script.pth")


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "safetensors"])
@pytest.mark.parametrize("cut", [0.02, 0.4, 0.98])
def test_a_cut_off_file_is_one_line_that_names_it(kind, cut, tmp_path):
    path = tmp_path / "w.bin"
    if kind == "safetensors":
        save_file({"w": torch.ones(500)}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps({"model": {"w": np.ones(500)}}))
    else:
        save({"w": torch.ones(500)}, path, kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(UserError, match=r"w\.bin") as error:
        read_foreign(path)
    assert "\n" not in str(error.value)


def test_one_changed_byte_of_a_zip_is_noticed(tmp_path):
    path = tmp_path / "w.pth"
    save({"w": torch.ones(500)}, path, True)
    content = bytearray(path.read_bytes())
    content[content.find(struct.pack("<f", 1.0) * 8) + 5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged"):
        read_foreign(path)


def zip_with(path, **entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_pkl", ".pkl"), content)


def test_foreign_files_are_one_line(tmp_path):
    contents = {"text": b"not a checkpoint", "empty": b"", "png": b"\x89PNG\r\n\x1a\n" + bytes(40)}
    contents["list"] = pickle.dumps([1])
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    zip_with(tmp_path / "zip", readme="hello")
    with zipfile.ZipFile(tmp_path / "packed", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**6))
    for name in (*contents, "zip", "packed", "missing"):
        with pytest.raises(UserError, match=name) as error:
            read_foreign(tmp_path / name)
        assert "\n" not in str(error.value)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path):
    """Such a view would read the process's memory."""
    path = tmp_path / "w.pth"
    save({"w": torch.arange(4.0)[1:]}, path, True)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(b"K\x01K\x03\x85", b"K\x01K\x7f\x85"))
    with pytest.raises(UserError, match="beyond its storage"):
        read_foreign(path)


@pytest.mark.parametrize("altered", [b"tensor", b"storage"])
def test_a_tensor_cannot_be_moved_out_of_its_storage_after_its_check(altered, tmp_path):
    """BUILD sets attributes: with a negative stride the view would lie before the storage, in the process's memory."""
    storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
    stride = b"}X\x06\x00\x00\x00strideJ\xff\xff\xff\xff\x85sb"  # {"stride": (-1,)}
    inside, outside = (storage + stride, b"") if altered == b"storage" else (storage, stride)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + inside + b"K\x00K\x04\x85K\x01\x85\x89NtR" + outside
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}X\x01\x00\x00\x00w" + tensor + b"s.")
        archive.writestr("a/data/0", np.arange(4, dtype=np.float32).tobytes())
    with pytest.raises(UserError, match="change the reader"):
        read_foreign(tmp_path / "w.pth")
