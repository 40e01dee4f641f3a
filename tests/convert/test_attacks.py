"""Files that attack the converter: each is one line, in no time, with no more memory than it is long."""

import io
import pickle
import re
import resource
import struct
import time
import zipfile

import numpy as np
import pytest

from src.convert import bounded_pickle
from src.convert.bounded_pickle import BoundedUnpickler, Refused
from src.convert.read import read_foreign
from src.convert.verify import verify
from src.errors import UserError

torch = pytest.importorskip("torch")

MARK, STOP = b"(", b"."
NESTED = b")" + b"2\x86" * 60  # (), then 60 times: twice what there is, as a tuple of two
PERSISTENT = b"X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"


def number(value: int) -> bytes:
    return b"\x8a\x08" + value.to_bytes(8, "little", signed=True)


def tensor(size: bytes, stride: bytes, offset: int = 0, count: int = 1) -> bytes:
    """A tensor that looks at storage '0' of `count` numbers."""
    pid = MARK + PERSISTENT + number(count) + b"tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + MARK + pid + number(offset) + size + stride + b"\x89NtR"


def sides(*values: int) -> bytes:
    return MARK + b"".join(map(number, values)) + b"t"


def entries(**values: bytes) -> bytes:
    return b"\x80\x02}" + b"".join(b"X" + struct.pack("<I", len(n)) + n.encode() + v + b"s" for n, v in values.items())


def archive(path, content: bytes, storages=(("0", b"\0" * 4),), compression=zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", content)
        for key, data in storages:
            file.writestr(f"a/data/{key}", data)


def refusal(path) -> str:
    """The one line with which the file is refused, soon and without much memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(UserError, match="x.pth (is refused|cannot be read)") as error:
        read_foreign(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB
    return str(error.value)


PICKLES = {
    "a tuple nested in itself": (b"}" + NESTED + b"Ns.", "nests tuples in tuples"),
    "as the keys of a set": (b"\x8f" + MARK + NESTED + b"\x90.", "nests tuples in tuples"),
    "as a frozen set": (MARK + NESTED + b"\x91.", "nests tuples in tuples"),
    "as the only thing": (NESTED + b".", "nests tuples in tuples"),
    "a list nested in itself, as a type": (
        b"cnumpy\ndtype\n" + MARK + b"]q\x00" + b"]q\x00(h\x00h\x00e" * 60 + b"tR.", "arrays of type that is a list"),
    "tuples a hundred thousand deep": (b")" + b"\x85" * 100_000 + b".", "nests tuples in tuples"),
    "a large tuple as a key": (b"}" + MARK + b"K\x01" * 1000 + b"tNs.", "a key of type tuple"),
    "numbers of one hash as keys": (b"}" + number(2**61 - 1) + b"Ns.", "a key of type int"),
    "an integer of a megabyte as a key": (
        b"}\x8b" + struct.pack("<i", 2**20) + b"\x01" * 2**20 + b"Ns.", "a key of type int"),
    "an integer of a million digits": (b"L" + b"9" * 10**6 + b"L\n.", ""),
    "a place in a table of billions": (b"Nr\xff\xff\xff\x7f.", "holds a NoneType"),
    "a text of terabytes": (b"\x8d" + struct.pack("<Q", 2**42) + b"x.", "cut off"),
    "bytes of terabytes": (b"\x96" + struct.pack("<Q", 2**42) + b"x.", "cut off"),
    "a frame of terabytes": (b"\x95" + struct.pack("<Q", 2**42) + b"N.", "cut off"),
    "a negative length": (b"\x8b" + struct.pack("<i", -5) + b".", "holds a int"),
    "arguments that hold themselves": (
        b"ctorch._tensor\n_rebuild_from_type_v2\n]q\x00(ctorch._tensor\n_rebuild_from_type_v2\nNh\x00e\x86h\x00R.", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
@pytest.mark.parametrize("kind", ["zip", "pickle"])
def test_a_pickle_that_never_ends_or_takes_all_memory_is_refused_at_once(kind, name, tmp_path):
    content, message = PICKLES[name]
    path = tmp_path / "x.pth"
    if kind == "zip":
        archive(path, b"\x80\x04" + content)
    else:
        path.write_bytes(b"\x80\x04" + content)
        message = message if "ctorch" not in str(content) else ""
    assert re.search(message, refusal(path))


TENSORS = {
    "sixty tensors of one number": (
        {f"w{k}": tensor(sides(2**13, 2**13), sides(0, 0)) for k in range(60)},
        r"its 60 tensors would take 16,106,127,360 bytes, the file has [\d,]+; the largest is w0 \[8192, 8192\]"),
    "one of them": ({"w": tensor(sides(2**20, 2**20), sides(0, 0))}, r"the largest is w \[1048576, 1048576\]"),
    "sides beyond all numbers": ({"w": tensor(sides(2**62, 2**62), sides(0, 0))}, "a tensor that cannot be read"),
    "a negative stride": ({"w": tensor(sides(2), sides(-1))}, "a tensor that cannot be read"),
    "a negative side": ({"w": tensor(sides(-2), sides(1))}, "a tensor that cannot be read"),
    "an offset beyond": ({"w": tensor(sides(1), sides(1), 2**40)}, "reaches beyond its storage"),
    "a stride beyond": ({"w": tensor(sides(2, 2), sides(2**40, 1))}, "reaches beyond its storage"),
    "a storage of terabytes": ({"w": tensor(sides(1), sides(1), count=2**42)}, "has 4 bytes"),
    "a storage of a negative length": ({"w": tensor(sides(1), sides(1), count=-1)}, "in an unknown way"),
    "a hundred axes": ({"w": tensor(sides(*[1] * 100), sides(*[0] * 100))}, "differ in length"),
    "a name of a megabyte": ({"w" * 2**20: tensor(sides(1), sides(1))}, "holds no tensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_more_than_the_file_are_refused_with_their_shape(name, tmp_path):
    values, message = TENSORS[name]
    archive(tmp_path / "x.pth", entries(**values) + STOP)
    assert re.search(message, refusal(tmp_path / "x.pth"))


def test_an_honest_tensor_of_the_same_making_is_read(tmp_path):
    archive(tmp_path / "x.pth", entries(w=tensor(sides(2, 3), sides(0, 0))) + STOP, [("0", np.float32([7]).tobytes())])
    assert read_foreign(tmp_path / "x.pth").tensors["w"].tolist() == [[7.0] * 3] * 2
    shared = torch.arange(6.0)
    views = {"a": shared, "b": shared.view(2, 3), "c": shared[2:4], "d": shared[:1].expand(50, 2)}
    torch.save(views, tmp_path / "y.pth")
    found = read_foreign(tmp_path / "y.pth").tensors
    assert found["b"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["d"].shape == (50, 2) and not found["d"].any()


def test_arrays_of_one_pickled_text_of_bytes_are_counted_as_often_as_they_occur(tmp_path):
    data = np.zeros(2**18, np.float32)
    one = pickle.dumps(data, 2)[2:-1]  # without its beginning and its end
    content = entries(w0=one + b"q\x7f")
    content += b"".join(b"X\x04\0\0\0" + f"v{k:03d}".encode() + b"h\x7fs" for k in range(400))
    (tmp_path / "x.pth").write_bytes(content + STOP)
    assert re.search(r"its 401 tensors would take .*; the largest is w0 \[262144\]", refusal(tmp_path / "x.pth"))


def test_an_array_whose_shape_is_not_that_of_its_bytes_is_refused(tmp_path):
    content = pickle.dumps({"w": np.zeros((2, 3), np.float32)}, 2)
    (tmp_path / "x.pth").write_bytes(content.replace(b"K\x02K\x03\x86", b"K\x02K\xff\x86"))
    assert re.search(r"an array of shape \[2, 255\] with 24 bytes", refusal(tmp_path / "x.pth"))


def test_archives_that_unpack_to_more_than_they_are_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    zeros = entries(w=tensor(sides(2**22), sides(1), count=2**22)) + STOP
    archive(path, zeros, [("0", bytes(2**24))], zipfile.ZIP_DEFLATED)
    assert re.search("compressed archive", refusal(path))
    archive(path, entries() + STOP, [("0", b"x" * 1000)])
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    entry = content[content.rindex(b"PK\x01\x02", 0, end) : end]  # the storage's, a thousand times
    many = content[:end] + entry * 1000
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1002, 1002, len(many) - content.index(b"PK\x01\x02"),
                       content.index(b"PK\x01\x02"), 0)  # fmt: skip
    path.write_bytes(many + tail)
    assert re.search("longer together than the file", refusal(path))


def test_a_pickle_of_more_steps_than_any_weights_have_is_refused(monkeypatch):
    monkeypatch.setattr(bounded_pickle, "MOST_STEPS", 1000)
    content = b"\x80\x02" + b"N0" * 501
    with pytest.raises(Refused, match="has more than 1,000 steps"):
        BoundedUnpickler(io.BytesIO(content), len(content)).load()


def test_recorded_activations_that_unpack_to_far_more_than_they_are_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file, file.open("input.npy", "w", force_zip64=True) as one:
        for _ in range(100):
            one.write(bytes(2**20))
    with pytest.raises(UserError, match=r"x.npz would unpack to 104,857,600 bytes, the file has [\d,]+$"):
        verify(None, None, str(path))
