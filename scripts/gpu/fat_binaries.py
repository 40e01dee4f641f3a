"""Which GPUs a CUDA library has device code for, read from the file itself: no driver, no toolkit.

    python -m scripts.gpu.fat_binaries FILE... [--card 9.0]

nvcc and NVIDIA's own libraries keep device code in the ELF section `.nv_fatbin` (relocatable code in
`__nv_relfatbin`): containers one after the other, each with a head of 16 bytes and its entries, each of these machine
code (a cubin, `sm_80`) or PTX (`compute_86`), whose head names the architecture. Only heads are read.
"""

import argparse
import mmap
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
MAGIC = 0xBA55ED50
CONTAINER = struct.Struct("<IHHQ")  # magic, version, bytes of this head, bytes of all entries
ENTRY = struct.Struct("<HHIQ")  # kind, version, bytes of this head, bytes of what follows it
ARCHITECTURE = 28  # bytes from an entry's start, 4 bytes: 80 for sm_80
PTX, MACHINE = 1, 2
ELF_64, LITTLE = 2, 1


@dataclass
class DeviceCode:
    """How many entries there are for each architecture (80: compute capability 8.0)."""

    machine: Counter = field(default_factory=Counter)
    ptx: Counter = field(default_factory=Counter)

    def __str__(self) -> str:
        words = [f"sm_{number}" for number in sorted(self.machine)] + [f"PTX {number}" for number in sorted(self.ptx)]
        return " ".join(words) or "no device code"

    def way_on(self, card: int) -> str:
        """How it runs on a card: 'machine code' of the same major number and no later minor one; 'PTX', which the
        driver compiles; 'none'.
        """
        if any(number // 10 == card // 10 and number <= card for number in self.machine):
            return "machine code"
        return "PTX" if any(number <= card for number in self.ptx) else "none"


def read(path: Path) -> DeviceCode:
    """The device code of a shared library. ValueError for what is no 64-bit ELF file, or is cut off; OSError."""
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise ValueError(f"{path}: an empty file") from None
        with data:
            found = DeviceCode()
            try:
                for start, size in _sections(data):
                    for kind, number in _entries(data, start, start + size):
                        (found.machine if kind == MACHINE else found.ptx)[number] += 1
            except (struct.error, ValueError, IndexError) as error:
                raise ValueError(f"{path}: {error}") from None
            return found


def _sections(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Offset and size of the sections with device code."""
    if data[:6] != b"\x7fELF" + bytes((ELF_64, LITTLE)):
        raise ValueError("no ELF file of 64 bits")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<3H", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQ", data, table + k * size) for k in range(count)]
    if not heads:
        return
    text = heads[names][4]
    for name, _, _, _, start, length in heads:
        place = text + name
        if data[place : data.find(b"\0", place)] in SECTIONS:
            if start + length > len(data):
                raise ValueError("cut off")
            yield start, length


def _entries(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Kind and architecture of every entry between two offsets."""
    while at + CONTAINER.size <= end:
        magic, _, head, length = CONTAINER.unpack_from(data, at)
        if magic == 0:  # padding between containers
            at += 8
            continue
        if magic != MAGIC:
            raise ValueError(f"no container of device code at {at}")
        entry, stop = at + head, at + head + length
        while entry + ENTRY.size <= stop:
            kind, _, entry_head, size = ENTRY.unpack_from(data, entry)
            if entry_head < ARCHITECTURE + 4:
                raise ValueError(f"no entry of device code at {entry}")
            if kind in (PTX, MACHINE):
                yield kind, struct.unpack_from("<I", data, entry + ARCHITECTURE)[0]
            entry += entry_head + size
        at = stop


def capability(text: str) -> int:
    """'9.0' -> 90. ValueError for anything else."""
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit() and len(minor) == 1):
        raise ValueError(f"a compute capability is written like 8.6, not {text!r}")
    return 10 * int(major) + int(minor)


def main() -> int:
    """A line a file: what it holds, and how it runs on the card; 1 where one has nothing for it, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--card", default="", help="compute capability of a card, 9.0")
    words = parser.parse_args()
    missing = 0
    try:
        card = capability(words.card) if words.card else 0
        for path in words.files:
            code = read(path)
            way = code.way_on(card) if card and (code.machine or code.ptx) else ""
            missing += way == "none"
            print(f"  {path.name:<28} {code}{f': {way}' if way else ''}")
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
