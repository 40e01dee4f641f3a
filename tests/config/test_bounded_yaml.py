"""YAML that attacks: one short line, at once."""

import resource
import time

import pytest

from src.config import load_config
from src.config.bounded_yaml import MOST_BYTES
from tests.config.refused import refusal


def laughs(levels: int, join: str = "[{}]") -> str:
    """A text of which every level names the one before ten times."""
    lines = ["a0: &a0 [x]" if join == "[{}]" else "a0: &a0 {k: x}"]
    for k in range(1, levels):
        lines.append(f"a{k}: &a{k} {join.format(', '.join([f'*a{k - 1}'] * 10))}")
    return "\n".join(lines) + f"\nlr_steps: *a{levels - 1}\n"


ATTACKS = {
    "aliases": laughs(12),
    "merges": laughs(12, "{{<<: [{}]}}"),
    "wide aliases": "a: &a [" + "x," * 1000 + "]\nb: &b [" + "*a," * 1000 + "]\nlr_steps: [" + "*b," * 1000 + "]\n",
    "a list that holds itself": "lr_steps: &a [*a, *a]\n",
    "a mapping that holds itself": "rpn: &a {anchor_generator: *a}\n",
    "a key that holds itself": "? &a [*a]\n: 1\n",
    "deep lists": "lr_steps: " + "[" * 20_000,
    "deep closed lists": "lr_steps: " + "[" * 60 + "]" * 60,
    "deep mappings": "rpn: " + "{a: " * 5000,
    "deep indentation": "".join(f"{' ' * k}a:\n" for k in range(1500)),
    "a number of 5,000 digits": f"seed: {'9' * 5000}\n",
    "a hexadecimal number of 5,000 digits": f"seed: 0x{'f' * 5000}\n",
    "a hexadecimal number of 900 digits": f"seed: 0x{'f' * 900}\n",
    "a hexadecimal number for a float": f"lr: 0x{'f' * 900}\n",
    "a number to base 60": f"seed: 1{':59' * 100_000}\n",
    "a set": "lr_steps: !!set {a, b}\n",
    "binary": "brief: !!binary aGFsbG8=\n",
    "a map of a text": "rpn: !!map text\n",
    "a map of a list": "rpn: !!map [a]\n",
    "a list of a map": "lr_steps: !!seq {a: 1}\n",
    "an ordered map": "rpn: !!omap [a: 1]\n",
    "pairs": "rpn: !!pairs [a: 1]\n",
    "an int that is none": "seed: !!int many\n",
    "a bool that is none": "resume: !!bool perhaps\n",
    "a float that is none": "lr: !!float fast\n",
    "a timestamp that is none": "lr: !!timestamp now\n",
    "a date that is none": "lr: 2024-13-45\n",
    "a date": "lr: 2024-01-02\n",
    "a time": "img_mean: [2024-01-02 03:04:05, 1, 2]\n",
    "python": "lr: !!python/object/apply:os.system ['true']\n",
    "python's name": "lr: !!python/name:os.system\n",
    "a tag of one's own": "lr: !fast 1\n",
    "no anchor": "lr: *nix\n",
    "a list as a key": "? [a, b]\n: 1\n",
    "a mapping as a key": "? {a: b}\n: 1\n",
    "null as a key": "null: 1\n",
    "a date as a key": "2024-01-02: 1\n",
    "a long key": f"{'k' * 900}: 1\n",
    "a long text": f"brief: {'b' * 10**6}\n",
    "a long word for a number": f"lr: {'b' * 10**6}\n",
    "a mapping for a base": "_base_: {a: b}\n",
    "a number for a base": "_base_: 5\n",
    "an endless base": "_base_: /dev/zero\n",
    "a folder for a base": "_base_: /\n",
    "NUL in a base": '_base_: "a\\0b"\n',
    "a long name for a base": f"_base_: {'b' * 300}\n",
    "NUL in a path": 'train_dataset: "a\\0b"\n',
    "a long name in a path": f"train_dataset: data/{'b' * 256}/x\n",
    "half a character": 'brief: "\\ud800"\n',
    "too long": "# " + "x" * MOST_BYTES + "\n",
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS)
def test_it_is_one_short_line_at_once(write, tmp_path, text):
    path = write(text, classes="")
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    message = refusal(path).replace(str(tmp_path), "")
    assert len(message) < 300 and message.isprintable() and ".yaml" in message
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


def test_the_same_on_the_command_line_names_the_key(write):
    for text in (
        "[" * 5000,
        "*a",
        "!!set {a}",
        "&a [*a]",
        "9" * 5000,
        "0x" + "f" * 900,
        "1e400",
        "2024-01-02",
        "1:9",
        "x" * 10**5,
    ):
        message = refusal(write(), "--lr_steps", text)
        assert "lr_steps" in message and len(message) < 300


def test_bases_that_double_at_each_level_are_read_once(write):
    for k in range(15):
        write(f"_base_: [b{k + 1}.yaml, b{k + 1}.yaml]\n", f"b{k}.yaml", classes="")
    write("lr: 0.5\n", "b15.yaml")
    started = time.process_time()
    assert load_config(write("_base_: b0.yaml\n", classes="")).lr == 0.5
    assert time.process_time() - started < 5


def test_a_chain_of_bases_without_end_is_refused(write):
    for k in range(30):
        write(f"_base_: b{k + 1}.yaml\n", f"b{k}.yaml", classes="")
    assert "stand on one another" in refusal(write("_base_: b0.yaml\n", classes=""))


def test_anchors_tags_and_dates_of_usual_use_are_taken(write):
    text = "img_mean: &m [1.0, 2, !!float 3]\nimg_std: *m\nrpn: &r {in_channels: 8}\nroi: {out_channels: !!int 8}\n"
    cfg = load_config(write(text + "brief: '2024-01-02'\nbbox_head: {<<: {in_channels: 8}, num_shared_fcs: 1}\n"))
    assert (cfg.img_std, cfg.roi.out_channels, cfg.bbox_head.in_channels) == ([1, 2, 3], 8, 8)


def test_a_configuration_comes_through_a_pipe_of_the_shell(write, tmp_path):
    import subprocess
    import sys

    program = "import sys; from src.config import load_config; print(load_config(sys.argv[1]).lr)"
    line = f"{sys.executable} -c '{program}' <(sed s/0.5/0.25/ {write('lr: 0.5')})"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout == "0.25\n"
