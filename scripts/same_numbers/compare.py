"""Do two commits give the same numbers? scripts/same_numbers.sh calls this with a checkout of each.

Each section (some of them: of each demo) is a process of collect.py in either checkout. What the old commit gives is
kept, with the data that it has drawn and the checkpoints that it has trained, in CACHE/<commit>-<collector's hash>/.
"""

import argparse
import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from demos import DEMOS

HERE = Path(__file__).resolve().parent
SECTIONS = ("config", "names", "batches", "losses", "evaluation", "export", "commands")
OF_DEMOS = ("losses", "evaluation", "export")  # in this order: the others take the checkpoint of the losses
SECTION_LIMIT = 1800  # seconds
ERROR = "ended with an error"  # name of the value of a section that could not be worked out
SHOWN = 5  # differences of a section

# Keys that may be missing in the new commit, in configurations and in --help; one that ends in a dot is a prefix.
LEAVING = ("rank_id", "roi.sample_num", "mask_roi.sample_num", "train_cfg.rpn.sampler.add_gt_as_proposals")
# Keys of one backbone, which may be missing in configurations of another one.
OF_BACKBONE = {
    "hrnet": ("backbone.extra.",),
    "resnet": ("backbone.depth", "backbone.base_channels", "backbone.style"),
    "spinenet": ("backbone.arch", "backbone.scaling."),
}
# Values that only the new commit has and that are no difference: new keys, what is noted beside a network, and the
# number of the checkpoint's format.
ADDED = ("config/*", "export/*/metadata/*", "losses/*checkpoint/state/format")
# What --without leaves out: (names of values, texts in outputs).
WITHOUT = {
    "hash": (("config/*/hash", "export/*/metadata/config"), re.compile(r"\bconfig [0-9a-f]{12}\b")),
    "checkpoint": (("export/*/metadata/checkpoint",), re.compile(r"\bcheckpoint [0-9a-f]{12}\b")),
}
EXPORTED_FILE = ("export/*/eval/output", WITHOUT["checkpoint"][1])  # its hash: MINDIR's bytes are others each time

Numbers = dict[str, object]


class CollectorFailed(Exception):
    """A section could not be worked out; the reason."""


@dataclass(frozen=True)
class Commits:
    """The two checkouts, the folder of the old one's kept results, and one for what the new one writes."""

    old: Path
    new: Path
    kept: Path
    work: Path

    @property
    def data(self) -> Path:
        return self.kept / "data"

    def old_numbers(self, section: str, demo: str) -> tuple[Numbers, str]:
        """The old commit's numbers, kept or worked out now, and a word on that."""
        folder = self.kept / _title(section, demo)
        if (folder / "result.json").is_file():
            return _read(folder), "old kept"
        checkpoint = self.checkpoint(demo) if section != "losses" else None
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=self.kept, prefix=".") as aside:
            out = Path(aside) / "out"
            _collect(self.old, section, demo, out, self.data, checkpoint)
            _keep(out, folder)
        return _read(folder), f"old {time.monotonic() - started:.0f} s"

    def new_numbers(self, section: str, demo: str) -> tuple[Numbers, str]:
        """The new commit's; its exports are of its own checkpoint where it has trained one."""
        own = self.work / _title("losses", demo) / "checkpoint.ckpt"
        checkpoint = own if section == "export" and own.is_file() else self.checkpoint(demo)
        out, started = self.work / _title(section, demo), time.monotonic()
        _collect(self.new, section, demo, out, self.data, checkpoint if section != "losses" else None)
        return _read(out), f"new {time.monotonic() - started:.0f} s"

    def checkpoint(self, demo: str) -> Path | None:
        """The old commit's after the demo's training."""
        return self.kept / _title("losses", demo) / "checkpoint.ckpt" if demo else None

    def draw_data(self) -> None:
        """Have the old commit draw the data, once."""
        if self.data.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=self.kept, prefix=".") as aside:
            drawn = Path(aside) / "data"
            _collect(self.old, "draw", "", Path(aside) / "out", drawn, None)
            _keep(drawn, self.data)


# --------------------------------------------------------------------------------------------------------- collecting


def _title(section: str, demo: str) -> str:
    return f"{section}-{demo}" if demo else section


def _collect(tree: Path, section: str, demo: str, out: Path, data: Path, checkpoint: Path | None) -> None:
    out.mkdir(parents=True)
    command = [sys.executable, str(HERE / "collect.py"), section, "--out", str(out), "--data", str(data)]
    command += ["--demo", demo] if demo else []
    command += ["--checkpoint", str(checkpoint)] if checkpoint else []
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, timeout=SECTION_LIMIT)
    except subprocess.TimeoutExpired:
        raise CollectorFailed(f"{_title(section, demo)} took longer than {SECTION_LIMIT} s") from None
    if done.returncode:
        raise CollectorFailed("\n".join(done.stderr.splitlines()[-20:]))


def _read(folder: Path) -> Numbers:
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def _keep(made: Path, folder: Path) -> None:
    """Move into place at once; another process may have been first, with the same."""
    try:
        os.replace(made, folder)
    except OSError:
        if not folder.is_dir():
            raise


def collector_hash() -> str:
    """Of what decides which numbers are collected and how."""
    files = (HERE / name for name in ("collect.py", "demos.py", "normalise.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


# ---------------------------------------------------------------------------------------------------------- comparing


def differences(old: Numbers, new: Numbers, without: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(differences, remarks), a text each. Names are whole: section/demo/name."""
    found, remarks = [], []
    for name in [*old, *(name for name in new if name not in old)]:
        if any(fnmatch.fnmatchcase(name, pattern) for one in without for pattern in WITHOUT[one][0]):
            continue
        if name not in new:
            if _may_leave(name, old):
                remarks.append(f"{name} has left")
            else:
                found.append(f"{name}: {_short(old[name])} -> missing")
        elif name not in old:
            is_fine = any(fnmatch.fnmatchcase(name, pattern) for pattern in ADDED)
            (remarks if is_fine else found).append(f"{name} is new: {_short(new[name])}")
        else:
            before, after = (_comparable(name, numbers, other, without) for numbers, other in ((old, new), (new, old)))
            if before != after:
                found.append(f"{name}: {_contrast(before, after)}")
    return found, remarks


def _may_leave(name: str, old: Numbers) -> bool:
    section, _, rest = name.partition("/")
    if section != "config":
        return False
    path, _, key = rest.rpartition("/")
    own = old.get(f"config/{path}/backbone.type")
    leaving = [*LEAVING, *(key for kind, keys in OF_BACKBONE.items() if own not in (None, kind) for key in keys)]
    return any(key.startswith(one) if one.endswith(".") else key == one for one in leaving)


def _comparable(name: str, numbers: Numbers, other: Numbers, without: tuple[str, ...]) -> object:
    value = numbers[name]
    if name.endswith("/order of keys"):  # of those that both have
        both = set(value.splitlines()) & set(other[name].splitlines())
        return "\n".join(key for key in value.splitlines() if key in both)
    if isinstance(value, str):
        if fnmatch.fnmatchcase(name, EXPORTED_FILE[0]):
            value = EXPORTED_FILE[1].sub("exported file", value)
        for one in without:
            value = WITHOUT[one][1].sub(f"{one} left out", value)
    return value


def _contrast(before: object, after: object) -> str:
    if not (isinstance(before, str) and isinstance(after, str) and "\n" in before + after):
        return f"{_short(before)} -> {_short(after)}"
    lines, others = before.splitlines(), after.splitlines()
    number = next((k for k, pair in enumerate(zip(lines, others)) if pair[0] != pair[1]), min(len(lines), len(others)))
    line, other = ((part[number] if number < len(part) else "nothing") for part in (lines, others))
    return f"line {number + 1} of {len(lines)} and {len(others)}:\n      {_short(line)}\n   -> {_short(other)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "..."


# ------------------------------------------------------------------------------------------------------------- running


def chains(only: list[str], demos: list[str]) -> Iterator[list[tuple[str, str]]]:
    """What is worked out one after the other: the sections of each demo; every other section alone, and sooner."""
    yield from ([(section, "")] for section in SECTIONS if section in only and section not in OF_DEMOS)
    for demo in demos:
        chain = [(section, demo) for section in OF_DEMOS if section in only]
        if chain:
            yield chain


def work_out(
    commits: Commits, chain: list[tuple[str, str]], without: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[tuple[str, Numbers, Numbers]]:
    """(section, old numbers, new numbers) of each link, under whole names; says how each has turned out."""
    if chain[0][1] and chain[0][0] != "losses":
        commits.old_numbers("losses", chain[0][1])  # for its checkpoint
    for section, demo in chain:
        old, spent = commits.old_numbers(section, demo)
        try:
            new, spent_now = commits.new_numbers(section, demo)
        except CollectorFailed as failure:
            new, spent_now = {ERROR: str(failure)}, "new failed"
        prefix = "/".join(filter(None, (section, demo)))
        old, new = ({f"{prefix}/{name}": value for name, value in part.items()} for part in (old, new))
        outcome = "DIFFERENT" if differences(old, new, without)[0] else "same"
        say(f"{_title(section, demo)}: {outcome} ({spent}, {spent_now})")
        yield section, old, new


def report(section: str, old: Numbers, new: Numbers, without: tuple[str, ...]) -> bool:
    """Print a section's outcome; whether it is the same."""
    broken = tuple(name.removesuffix(ERROR) for name in new if name.endswith(f"/{ERROR}"))
    failures = [f"{name}{ERROR}: {new[name + ERROR]}" for name in broken]
    old, new = ({name: value for name, value in part.items() if not name.startswith(broken)} for part in (old, new))
    found, remarks = differences(old, new, without)
    found = failures + found
    outcome = f"DIFFERENT: {len(found)} of {len(old)} values" if found else f"same ({len(old)} values)"
    print(f"{section:<12}{outcome}" + (f", {len(remarks)} have left or are new" if remarks else ""))
    for line in found[:SHOWN]:
        print(f"   {line}")
    kinds = sorted({remark.rpartition("/")[2] for remark in remarks})
    if kinds:
        print("   no difference: " + "; ".join(kinds[:20]) + ("; ..." if len(kinds) > 20 else ""))
    return not found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bash scripts/same_numbers.sh OLD_COMMIT", description=__doc__)
    for name in ("--old", "--new", "--work", "--cache"):
        parser.add_argument(name, type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--commit", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--only", type=_list_of(SECTIONS), default=list(SECTIONS), help=",".join(SECTIONS))
    parser.add_argument("--demos", type=_list_of(DEMOS), default=list(DEMOS), help=",".join(DEMOS))
    parser.add_argument("--without", type=_list_of(WITHOUT), default=[], help=f"not compared: {','.join(WITHOUT)}")
    parser.add_argument("--fresh", action="store_true", help="work the old commit's numbers out again")
    parser.add_argument("--jobs", type=int, default=2, help="sections at a time (default 2)")
    arguments = parser.parse_args()
    kept = arguments.cache / f"{arguments.commit}-{collector_hash()}"
    if arguments.fresh:
        shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True, exist_ok=True)
    commits = Commits(arguments.old, arguments.new, kept.resolve(), arguments.work.resolve())
    sys.exit(0 if _run(commits, arguments) else 1)


def _run(commits: Commits, arguments: argparse.Namespace) -> bool:
    started, without = time.monotonic(), tuple(arguments.without)

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", file=sys.stderr, flush=True)

    collected: dict[str, tuple[Numbers, Numbers]] = {section: ({}, {}) for section in arguments.only}
    try:
        commits.draw_data()
        with ThreadPoolExecutor(arguments.jobs) as pool:
            parts = chains(arguments.only, arguments.demos)
            for links in pool.map(lambda chain: list(work_out(commits, chain, without, say)), parts):
                for section, old, new in links:
                    collected[section][0].update(old)
                    collected[section][1].update(new)
    except CollectorFailed as failure:
        sys.exit(f"error: the old commit's numbers could not be worked out:\n{failure}")
    sections = [section for section in SECTIONS if section in collected]
    return all([report(section, *collected[section], without) for section in sections])


def _list_of(allowed):
    def read(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(allowed)}")
        return names

    return read


if __name__ == "__main__":
    main()
