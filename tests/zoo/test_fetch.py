"""Weights by name: downloaded once, checked, converted once, kept; by hand where there is no other way."""

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from src import api
from src.checkpoint import read_checkpoint, save_arrays
from src.commands.weights import main
from src.config import load_config, to_dict
from src.errors import UserError
from src.zoo import fetch as room
from src.zoo.command_line import parse_cli, weights_path
from src.zoo.fetch import Weights
from src.zoo.names import the_table
from tests.end_to_end.commands import ROOT, run
from tests.zoo.weights_server import serve

MUSEUM = ROOT / "tests" / "museum" / "hrnet_cls"
(CONFIG,) = MUSEUM.glob("run/*/config.yaml")
FOREIGN = gzip.decompress((MUSEUM / "foreign.safetensors.gz").read_bytes())
DIGITS = hashlib.sha256(FOREIGN).hexdigest()[:8]
FILE = f"tiny-{DIGITS}.safetensors"
NAME = f"tiny-{DIGITS}"


@pytest.fixture()
def server():
    with serve() as one:
        one.files[f"/files/{FILE}"] = FOREIGN
        yield one


@pytest.fixture()
def zoo(server, tmp_path, monkeypatch):
    """A table of one row, its configuration beside it, and an empty cache; writes another table on call."""
    shutil.copy(CONFIG, tmp_path / "tiny.yaml")
    monkeypatch.setenv("VISION_ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VISION_ZOO_TABLE", str(tmp_path / "zoo.csv"))
    monkeypatch.delenv("VISION_ZOO_MIRROR", raising=False)

    def write(file=FILE, address=f"{server.address}/files/{FILE}", configs="tiny.yaml", backbone_of="", sha256=""):
        header = "file,address,configs,backbone_of,sha256,licence,scores,note\n"
        row = f"{file},{address},{configs},{backbone_of},{sha256},MIT,Top_1_Acc=12.5,A tiny one\n"
        (tmp_path / "zoo.csv").write_text(header + row)
        return tmp_path

    write()
    write.folder, write.home = tmp_path, tmp_path / "home" / "weights"
    return write


@pytest.fixture()
def conversions(monkeypatch):
    """Conversions that cost nothing: what they were asked for."""
    asked = []

    def run_module(name, arguments):
        assert (name, arguments[0]) == ("commands.cli", "convert-weights")
        asked.append(dict(zip(arguments[1::2], arguments[2::2], strict=True)))
        path = Path(asked[-1]["--ckpt_path"])
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\x12\x0b" + f"converted {len(asked)}".encode())  # a checkpoint that says nothing
        return subprocess.CompletedProcess([], 0, "account\n", "")

    monkeypatch.setattr(room, "run_module", run_module)
    return asked


def only(table: dict) -> Weights:
    ((name, row),) = table.items()
    return Weights(name, row)


def error(*arguments: str) -> str:
    return run("-m", "src.commands.weights", *arguments, status=2).rpartition("error: ")[2].strip()


def test_the_list_names_weights_scores_configuration_and_where_they_are(zoo, capsys, conversions):
    main([])
    assert re.search(rf"^  {NAME} +Top_1_Acc 12\.5  tiny\.yaml$", capsys.readouterr().out, re.MULTILINE)
    main(["tiny"])
    printed = capsys.readouterr().out
    assert f"{NAME}, A tiny one, Top_1_Acc 12.5, licence MIT" in printed and f"zoo:{NAME}" in printed
    assert f"{FILE} is whole: its SHA-256 begins with {DIGITS}" in printed and "\naccount\n" in printed
    main([])
    assert re.search(r"tiny\.yaml  here\n1 file of weights; they are kept in ", capsys.readouterr().out)


def test_they_are_downloaded_and_converted_once_and_both_files_are_kept(zoo, server, conversions):
    server.cuts = [1000]
    path = Path(weights_path("zoo:tiny"))
    assert path.read_bytes().endswith(b"converted 1") and len(server.asked) == 2
    assert path.parent.name == "ckpt" and path.parents[2] == zoo.home / NAME
    assert (zoo.home / NAME / FILE).read_bytes() == FOREIGN
    saved = load_config(str(path.parents[1] / "config.yaml"))
    assert saved.num_classes == load_config(str(CONFIG)).num_classes and saved.val_dataset == ""
    assert weights_path("zoo:tiny") == str(path) and len(server.asked) == 2 and len(conversions) == 1
    left = {one.name for one in (zoo.home / NAME).iterdir()}
    assert left == {".lock", FILE, path.parents[1].name}


def test_another_configuration_or_a_newer_file_is_converted_anew(zoo, conversions):
    first = Path(weights_path("zoo:tiny"))
    text = (zoo.folder / "tiny.yaml").read_text()
    (zoo.folder / "tiny.yaml").write_text(re.sub(r"^lr: .*$", "lr: 0.123", text, flags=re.MULTILINE))
    second = Path(weights_path("zoo:tiny"))
    assert first != second
    assert first.read_bytes().endswith(b"converted 1") and second.read_bytes().endswith(b"converted 2")
    later = second.stat().st_mtime_ns + 10**9
    os.utime(zoo.home / NAME / FILE, ns=(later, later))
    assert Path(weights_path("zoo:tiny")).read_bytes().endswith(b"converted 3")


def test_a_wrong_checksum_is_one_line_and_nothing_is_kept(zoo, server):
    server.files[f"/files/{FILE}"] = FOREIGN[:-1] + b"!"
    said = error("tiny")
    assert said.count("\n") == 0 and f"/files/{FILE}: what came is not kept" in said and DIGITS in said
    assert [one.name for one in (zoo.home / NAME).iterdir()] == [".lock"]
    zoo(sha256="0" * 64)
    server.files[f"/files/{FILE}"] = FOREIGN
    said = error("tiny")
    assert f"what came is not kept: by the table of weights its SHA-256 begins with {'0' * 16}, its own with" in said
    assert "download it again" not in said
    (zoo.home / NAME / FILE).write_bytes(FOREIGN)
    assert f"{FILE} is damaged or incomplete, or another file: by the table of weights its" in error("tiny")


def test_pieces_of_two_files_are_downloaded_anew(zoo, server, conversions):
    """A server that says nothing of another file is found out by the checksum."""
    (zoo.home / NAME).mkdir(parents=True)
    (zoo.home / NAME / f"{FILE}.part").write_bytes(b"x" * 500)
    note = {"address": f"{server.address}/files/{FILE}", "mark": '"one"', "size": len(FOREIGN)}
    (zoo.home / NAME / f"{FILE}.part.json").write_text(json.dumps(note))
    weights_path("zoo:tiny")
    assert [asked for _, asked in server.asked] == ["bytes=500-", ""]
    assert (zoo.home / NAME / FILE).read_bytes() == FOREIGN


def test_without_a_net_or_an_address_the_line_says_where_to_put_the_file_which_is_taken_then(zoo, conversions):
    place = zoo.home / NAME / FILE
    zoo(address=f"http://127.0.0.1:9/{FILE}")
    assert f"cannot be reached (Connection refused): download it yourself and put it at {place}" in error("tiny")
    zoo(address="https://drive.google.com/file/d/1WE/view?usp=sharing")
    said = error("tiny")
    assert "has no direct address: get it from https://drive.google.com/file/d/1WE/view?usp=sharing" in said
    assert said.endswith(f"and put it at {place}")
    place.write_bytes(FOREIGN)
    assert weights_path("zoo:tiny") and conversions[0]["--pt_path"] == str(place)
    place.write_bytes(b"damaged")
    assert f"{FILE} is damaged or incomplete" in error("tiny")


def test_a_file_whose_name_nobody_knows_may_have_any(zoo, conversions):
    zoo(file="", address="https://1drv.ms/u/s!x?e=y")
    folder = zoo.home / "A_tiny_one"
    assert error("tiny").endswith(f"and put it at {folder}/, under any name")
    (folder / "whatever (1).pth").write_bytes(b"1")
    assert weights_path("zoo:tiny") and conversions[0]["--pt_path"].endswith("whatever (1).pth")
    (folder / "another.pth").write_bytes(b"1")
    assert "A_tiny_one holds another.pth, whatever (1).pth; leave one of them there" in error("tiny")


def test_a_mirror_takes_the_place_of_every_address(zoo, server, conversions, monkeypatch):
    """It serves a folder laid out as the cache is."""
    zoo(address="https://drive.google.com/file/d/1WE/view?usp=sharing")
    server.files = {f"/m/{NAME}/{FILE}": FOREIGN}
    main(["tiny", "--mirror", f"{server.address}/m/", "--table", str(zoo.folder / "zoo.csv")])
    assert [path for path, _ in server.asked] == [f"/m/{NAME}/{FILE}"]
    shutil.rmtree(zoo.home)
    monkeypatch.setenv("VISION_ZOO_MIRROR", "file:///etc")
    assert "file:///etc/tiny" in error("tiny") and "is no http or https address" in error("tiny")


def test_any_name_finds_its_way_to_the_server_and_into_the_cache(zoo, server, conversions, monkeypatch):
    file = "a b#?%41'<é>&.pth"
    zoo(file=file, address="https://example.invalid/page", sha256="")
    monkeypatch.setenv("VISION_ZOO_MIRROR", server.address)
    server.files = {f"/{quote(file[:-4])}/{quote(file)}": b"weights"}
    assert weights_path(f"zoo:{file[:-4]}") and (zoo.home / file[:-4] / file).read_bytes() == b"weights"


def test_the_checkpoint_is_enough_once_the_file_was_removed(zoo, server, conversions):
    path = weights_path("zoo:tiny")
    (zoo.home / NAME / FILE).unlink()
    assert weights_path("zoo:tiny") == path and len(server.asked) == len(conversions) == 1


def test_a_checkpoint_of_this_project_is_taken_as_it_is_and_brings_its_configuration(zoo, server, tmp_path):
    cfg = load_config(str(CONFIG))
    save_arrays({"a": np.zeros(1, np.float32)}, tmp_path / "own.ckpt", {"config": to_dict(cfg)})
    server.files["/own.ckpt"] = (tmp_path / "own.ckpt").read_bytes()
    zoo(file="own.ckpt", address=f"{server.address}/own.ckpt", configs="")
    found = parse_cli("d", ["--checkpoint_path", "zoo:own", "--img_width", "96"], command="eval.py")
    assert found.checkpoint_path == str(zoo.home / "own" / "own.ckpt")
    assert (found.num_classes, found.img_width) == (cfg.num_classes, 96)


def test_the_command_fetches_a_checkpoint_of_this_project_without_a_configuration_too(zoo, server, tmp_path, capsys):
    save_arrays({"a": np.zeros(1, np.float32)}, tmp_path / "own.ckpt", {"config": to_dict(load_config(str(CONFIG)))})
    server.files["/own.ckpt"] = (tmp_path / "own.ckpt").read_bytes()
    zoo(file="own.ckpt", address=f"{server.address}/own.ckpt", configs="")
    main(["own"])
    assert capsys.readouterr().out.endswith(f"zoo:own, or the checkpoint itself:\n{zoo.home / 'own' / 'own.ckpt'}\n")
    shutil.rmtree(zoo.home)
    assert weights_path("zoo:own", str(CONFIG)) == weights_path("zoo:own") == str(zoo.home / "own" / "own.ckpt")
    assert len(server.asked) == 2


def test_what_is_no_checkpoint_of_this_project_needs_a_configuration_and_a_damaged_one_is_not_kept(zoo, server):
    zoo(file="own.ckpt", address=f"{server.address}/own.ckpt", configs="")
    server.files["/own.ckpt"] = b"\x12\x0bconverted 1"  # says nothing of itself
    with pytest.raises(UserError, match="zoo:own: its row names no configuration"):
        weights_path("zoo:own")
    shutil.rmtree(zoo.home)
    server.files["/own.ckpt"] = b"a page of a firm's network"
    with pytest.raises(UserError, match=r"own.ckpt: what came is not kept: own.ckpt cannot be read, it is cut off"):
        weights_path("zoo:own")
    assert [one.name for one in (zoo.home / "own").iterdir()] == [".lock"]
    zoo(configs="")
    server.asked.clear()
    with pytest.raises(UserError, match=f"zoo:{NAME}: its row names no configuration"):
        weights_path("zoo:tiny")
    assert not server.asked


def test_an_address_of_a_file_of_another_name_is_direct_too(zoo, server, conversions):
    zoo(file="mine.pth", address=f"{server.address}/files/{FILE}?download=1")
    server.files[f"/files/{FILE}?download=1"] = FOREIGN
    assert weights_path("zoo:mine") and (zoo.home / "mine" / "mine.pth").read_bytes() == FOREIGN


def test_with_a_name_the_configuration_is_the_tables_unless_one_is_typed(zoo, conversions):
    zoo(configs="tiny.yaml other.yaml")
    other = zoo.folder / "other.yaml"
    other.write_text(f"_base_: {CONFIG}\nbatch_size: 3\n")
    cfg = parse_cli("d", ["--checkpoint_path", "zoo:tiny"], command="infer.py")
    assert Path(cfg.checkpoint_path).name == f"{NAME}.ckpt" and cfg.batch_size == load_config(str(CONFIG)).batch_size
    typed = ["--config_path", str(other), "--pre_trained=zoo:tiny", "--lr", "0.5"]
    cfg = parse_cli("d", typed, command="train.py")
    assert (cfg.batch_size, cfg.lr) == (3, 0.5) and {"pre_trained", "lr"} <= cfg.typed
    assert [Path(one["--config_path"]).name for one in conversions] == ["tiny.yaml", "other.yaml"]
    assert parse_cli("d", ["--pre_trained", "zoo:tiny"], command="train.py").pre_trained.endswith(".ckpt")
    named = zoo.folder / "named.yaml"
    named.write_text(f"_base_: {CONFIG}\npre_trained: zoo:tiny\n")
    assert parse_cli("d", ["--config_path", str(named)], command="train.py").pre_trained.endswith(f"{NAME}.ckpt")


def test_nothing_is_downloaded_for_a_command_line_that_is_wrong(zoo, server):
    for typed in (["--lrr", "1"], ["--img_width", "x"]):
        with pytest.raises(UserError, match="lrr|img_width"):
            parse_cli("d", ["--checkpoint_path", "zoo:tiny", *typed], command="eval.py")
    assert not server.asked


def test_a_backbone_alone_starts_a_training_and_is_refused_elsewhere(zoo, conversions):
    zoo(configs="", backbone_of="tiny.yaml")
    with pytest.raises(UserError, match=rf"zoo:{NAME} is a backbone alone, .*pretrained zoo:{NAME} takes it"):
        parse_cli("d", ["--checkpoint_path", "zoo:tiny"], command="eval.py")
    typed = ["--config_path", str(zoo.folder / "tiny.yaml"), "--backbone.pretrained", "zoo:tiny"]
    assert parse_cli("d", typed, command="train.py").backbone.pretrained.endswith(f"{NAME}.ckpt")


def test_a_conversion_that_fails_is_its_own_line_and_leaves_the_file(zoo, monkeypatch):
    def run_module(name, arguments):
        return subprocess.CompletedProcess([], 2, "", "warning\nerror: x.pth has 3 tensors without a place\n")

    monkeypatch.setattr(room, "run_module", run_module)
    anew = "; once it is removed the same command downloads it anew"
    with pytest.raises(UserError, match=rf"{FILE} cannot be converted: x\.pth has 3 tensors without a place{anew}$"):
        weights_path("zoo:tiny")
    assert sorted(one.name for one in (zoo.home / NAME).iterdir()) == [".lock", FILE]


def test_two_at_once_download_once(zoo, server, conversions, tmp_path):
    """The second waits for the lock that the first one holds, and finds everything there."""
    line = [sys.executable, "-c", "from src.zoo.names import the_table; from src.zoo.fetch import Weights; "
            "(n, r), = the_table().items(); print(Weights(n, r).fetched())"]  # fmt: skip
    both = [subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [one.communicate(timeout=60)[0] for one in both]
    assert [one.returncode for one in both] == [0, 0] and len(server.asked) == 1
    assert all(text.splitlines()[-1] == str(zoo.home / NAME / FILE) for text in printed)


def test_ctrl_c_keeps_what_has_come(zoo, server):
    server.stalls_after = 5000
    line = [sys.executable, "-m", "src.commands.weights", "tiny"]
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part, end = zoo.home / NAME / f"{FILE}.part", time.monotonic() + 60
    while not (part.is_file() and part.stat().st_size == 5000):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=60)
    assert process.returncode == 130 and printed[1].endswith("interrupted\n")
    server.goes_on.set()
    assert only(the_table()).fetched().read_bytes() == FOREIGN and server.asked[-1][1] == "bytes=5000-"


def test_the_converter_makes_of_the_downloaded_file_what_it_makes_by_hand(zoo, server, tmp_path):
    printed = run("-m", "src.commands.weights", "tiny")
    (path,) = (zoo.home / NAME).glob("tiny-*/ckpt/*.ckpt")
    assert "tensors in the source" in printed and f"{FILE} converted into {path}" in printed
    wanted = json.loads((MUSEUM / "expected.json").read_text())["converted"]
    values, digest = read_checkpoint(path), hashlib.sha256()
    for name in sorted(values):
        digest.update(f"{name} {list(values[name].shape)}".encode() + values[name].astype("<f4").tobytes())
    assert len(values) == wanted["parameters"] and digest.hexdigest() == wanted["sha256"]


def test_a_python_program_loads_them_by_name_too(zoo, conversions):
    cfg = api._configuration("zoo:tiny", "", {"img_width": 96})
    assert cfg.checkpoint_path == weights_path("zoo:tiny") and cfg.img_width == 96 and len(conversions) == 1
    with pytest.raises(UserError, match="did you mean"):
        api.load("zoo:tinny")


@pytest.mark.slow
def test_one_command_from_a_name_to_a_drawn_picture(zoo, server, tmp_path):
    museum = ROOT / "tests" / "museum"
    (config,) = museum.glob("mask_rcnn_resnet/run/*/config.yaml")
    shutil.copy(config, tmp_path / "tiny.yaml")
    server.files["/detector.pth"] = gzip.decompress((museum / "mask_rcnn_resnet" / "foreign.pth.gz").read_bytes())
    zoo(file="detector.pth", address=f"{server.address}/detector.pth")
    photo = next((museum / "data" / "shapes" / "train" / "data").iterdir())
    run("infer.py", "--checkpoint_path", "zoo:detector", "--pred_input", photo, "--draw", tmp_path / "drawn")
    (drawn,) = (tmp_path / "drawn").rglob("*.*")
    assert photo.stem in drawn.name and drawn.stat().st_size > 1000


@pytest.mark.slow
def test_from_a_name_to_predictions(zoo, server, tmp_path):
    """Downloaded in two pieces, converted, and run, in one command; the checkpoint in the cache is enough for another.
    """
    server.cuts = [5000]
    images, out = ROOT / "tests" / "museum" / "data" / "classes" / "val" / "star", tmp_path / "o.json"
    command = ("infer.py", "--pred_input", images, "--pred_output")
    printed = run(*command, out, "--checkpoint_path", "zoo:tiny")
    assert "broke off after" in printed and f"{FILE} converted into {zoo.home / NAME}" in printed
    found = json.loads(out.read_text())
    assert len(found) == len(list(images.iterdir()))
    assert all(len(entry["predictions"]) == 5 for entry in found.values())
    second = tmp_path / "second.json"
    run(*command, second, "--checkpoint_path", only(the_table()).converted())
    assert second.read_bytes() == out.read_bytes()
