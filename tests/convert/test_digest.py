"""A file's name that ends in the beginning of its SHA-256 is held to it, and other digits are left in peace."""

import hashlib

import pytest

from src.commands.convert import convert_file
from src.config import load_config
from src.convert import digest
from src.errors import UserError
from tests.convert.case import HRNET_CLS

CONTENT = b"weights of someone"
OWN = hashlib.sha256(CONTENT).hexdigest()[:8]
OTHER = "deadbeef"


def named(folder, name: str):
    path = folder / name
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(
    "name",
    [f"resnet50-{OWN}.pth", f"x_20200130-{OWN}.pth", f"x-{OWN} (1).pth", f"x-{OWN.upper()}.pth.tar", f"x-{OWN}.ckpt"],
)
def test_a_whole_file_is_said_to_be_whole(tmp_path, name):
    proof, doubt = digest.check_name(named(tmp_path, name))
    assert "is whole" in proof and OWN in proof and not doubt


@pytest.mark.parametrize("name", [f"resnet50-{OTHER}.pth", f"x_20200130-{OTHER}.pt", f"x-{OTHER} (2).safetensors"])
def test_a_file_of_other_content_is_refused_and_told_how_to_go_on(tmp_path, name):
    path = named(tmp_path, name)
    with pytest.raises(UserError, match=f"damaged or incomplete.*{OTHER}, its own with {OWN}; .* another name"):
        digest.check_name(path)
    path.rename(tmp_path / "mine.pth")
    assert digest.check_name(tmp_path / "mine.pth") == ("", "")


@pytest.mark.parametrize(
    "name",
    [
        "model-20200130.pth", "hrnetw48-imagenet-120_2502.ckpt", "mask_rcnn-12_7393.ckpt", "model_deadbeef.pth",
        "model-deadbee.pth", "model-deadbeef1.pth", "model-deadbeef-910v2.ckpt", "deadbeef.pth", "model.pth",
    ],
)  # fmt: skip
def test_dates_steps_and_other_words_are_no_digests(tmp_path, name):
    assert digest.check_name(named(tmp_path, name)) == ("", "")


@pytest.mark.parametrize("name", ["model-00120000.pth", "model-20209930.pth", f"hrnet_w32-{OTHER}.ckpt"])
def test_digits_that_may_be_something_else_are_a_doubt(tmp_path, name):
    proof, doubt = digest.check_name(named(tmp_path, name))
    assert not proof and "if " in doubt and OWN in doubt


@pytest.mark.parametrize("kind", ["md5", "sha1"])
def test_the_beginning_of_another_kind_of_digest_is_no_reason_to_refuse(tmp_path, kind):
    digits = hashlib.new(kind, CONTENT).hexdigest()[:8]
    assert digest.check_name(named(tmp_path, f"model-{digits}.pth")) == ("", "")


@pytest.mark.parametrize(
    "name",
    ["semi_supervised_resnet50-08389792.pth", "hrnetw48seg_ascend_v1100_cityscapes_research_cv_miou79.21.ckpt"],
)
def test_a_published_file_is_held_to_its_own_digest_whatever_its_name_looks_like(tmp_path, name):
    with pytest.raises(UserError, match=f"{name} is damaged or incomplete"):
        digest.check_name(named(tmp_path, name))


def test_the_converter_refuses_before_it_reads_or_writes_anything(tmp_path):
    out = tmp_path / "new" / "w.ckpt"
    keys = ["--pt_path", str(named(tmp_path, f"w-{OTHER}.pth")), "--ckpt_path", str(out)]
    with pytest.raises(UserError, match="damaged or incomplete"):
        convert_file(load_config(str(HRNET_CLS), keys))
    assert not out.parent.exists()
