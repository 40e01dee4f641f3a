"""Every option that names a file or a folder, given something else: one line, at once, and nothing is made."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.commands import run
from tests.test_reading import KINDS, odd_paths

DETECTOR = ("--config_path", "configs/demo/mask_rcnn_hrnet_tiny.yaml", "--device_target", "CPU")
CLASSIFIER = ("--config_path", "configs/demo/hrnet_cls_shapes.yaml", "--device_target", "CPU")
SEGMENTER = ("--config_path", "configs/demo/hrnet_seg_lip_shapes.yaml", "--device_target", "CPU")
INFER = ("--pred_input", "README.md", "--pred_output", "NEW")
CONVERT = ("convert_from_pt.py", *CLASSIFIER, "--ckpt_path", "NEW.ckpt")
OPTIONS = {  # ODD: the odd path; NEW: a path where nothing is
    "config_path": ("train.py", "--config_path", "ODD"),
    "train_dataset of a detector": ("train.py", *DETECTOR, "--train_outputs", "NEW", "--train_dataset", "ODD"),
    "train_dataset of a classifier": ("train.py", *CLASSIFIER, "--train_outputs", "NEW", "--train_dataset", "ODD"),
    "train_dataset of a segmenter": ("train.py", *SEGMENTER, "--train_outputs", "NEW", "--train_dataset", "ODD"),
    "val_dataset": ("eval.py", *DETECTOR, "--checkpoint_path", "README.md", "--val_dataset", "ODD"),
    "prediction_path": ("eval.py", *DETECTOR, "--val_dataset", "NEW", "--prediction_path", "ODD"),
    "mindrecord_dir": ("eval.py", *DETECTOR, "--val_data_type", "mindrecord", "--checkpoint_path", "README.md",
                       "--mindrecord_dir", "ODD"),
    "checkpoint_path": ("infer.py", *CLASSIFIER, *INFER, "--checkpoint_path", "ODD"),
    "checkpoint_path of onnx": ("infer.py", *CLASSIFIER, *INFER, "--backend", "onnx", "--checkpoint_path", "ODD"),
    "checkpoint_path of mindir": ("infer.py", *CLASSIFIER, *INFER, "--backend", "mindir", "--checkpoint_path", "ODD"),
    "pred_input": ("infer.py", *CLASSIFIER, "--checkpoint_path", "x", "--pred_output", "NEW", "--pred_input", "ODD"),
    "export's checkpoint_path": ("export.py", *CLASSIFIER, "--file_name", "NEW", "--checkpoint_path", "ODD"),
    "pt_path": (*CONVERT, "--pt_path", "ODD"),
    "pred_file": ("draw_predictions.py", "--out_dir", "NEW", "--pred_file", "ODD"),
    "cityscapes' root": ("-m", "src.data.cityscapes_lst_maker", "--root", "ODD"),
    "lip's root": ("-m", "src.data.lip_lst_maker", "--root", "ODD"),
    "mindrecord's train_dataset": ("-m", "src.data.mindrecord", *DETECTOR, "--mindrecord_dir", "NEW", "--train_dataset",
                                   "ODD"),
    "mindrecord to verify": ("-m", "src.data.mindrecord", *DETECTOR, "--verify_only", "--mindrecord_dir", "ODD"),
    "preprocess's val_dataset": ("deploy/preprocess.py", *SEGMENTER, "--result_path", "NEW", "--val_dataset", "ODD"),
    "postprocess's val_dataset": ("deploy/postprocess.py", *SEGMENTER, "--val_dataset", "ODD"),
    "infer_files' preprocess_path": ("deploy/infer_files.py", "--model", "x.onnx", "--result_path", "NEW",
                                     "--preprocess_path", "ODD"),
    "onnx_detect's model": ("deploy/onnx_detect.py", "ODD", "README.md"),
}  # fmt: skip
BUILT = ("checkpoint_path", "export's checkpoint_path")  # behind which a network is built first


@pytest.mark.parametrize("option", OPTIONS)
def test_it_is_one_line_and_nothing_is_made(tmp_path, option):
    for kind in KINDS if option not in BUILT else ("pipe", "loop"):
        (tmp_path / kind).mkdir()
        odd, new = str(odd_paths(tmp_path / kind)[kind]), tmp_path / "new"
        places = {"ODD": odd, "NEW": str(new), "NEW.ckpt": f"{new}.ckpt"}
        before = sorted(os.listdir(tmp_path / kind))
        lines = run(*(places.get(one, one) for one in OPTIONS[option]), status=2).splitlines()
        said = [line for line in lines if line.startswith("error: ")]
        assert len(said) == 1 and said[0] == lines[-1] and said[0].isprintable(), (kind, lines)
        assert len(said[0]) < 700 and "Traceback" not in "".join(lines)
        assert sorted(os.listdir(tmp_path / kind)) == before
        assert not [path for path in Path(tmp_path).glob("new*") if path.is_file()]
