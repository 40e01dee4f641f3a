"""The two facts at every key: how far it reaches, and whether a resumed run may change it."""

import pytest

from src.config import Config, load_config
from src.config.schema import FACTS, key, keys, leaves, section

# Keys that matter to no result, and those that a resumed run may change; a section stands for all its keys.
PLACES = """
    train_dataset val_dataset train_annotations train_images val_annotations val_images train_data_type val_data_type
    mindrecord_dir mindrecord_shards class_names
    allow_outside
    pre_trained resume train_outputs brief report_dir checkpoint_path file_name file_format prediction_path pred_input
    pred_output draw enable_modelarts data_url eval_data_url checkpoint_url train_url data_path output_path load_path
    calibration_data
    pt_path ckpt_path source pt_entry verify mlflow mlflow_uri mlflow_experiment compile_cache_path
"""
DEVICES = """
    device_target mode device_id run_distribute device_num backend fold_batchnorm enable_graph_kernel datasink
    fast_gradients fast_inference deterministic compile_cache
    num_parallel_workers python_multiprocessing test_batch_size max_image_pixels recursive font format_only
"""
CADENCE = """
    log_every log_style save_every run_eval eval_every eval_start keep_checkpoint_max keep_best_checkpoints_max analysis
    enable_profiling infer_format infer_score_thr save_every_epochs log_norms val_loss tensorboard sample_pictures
    draw_score_thr draw_colours frame_step max_frames export_batch quantize calibration_images
"""
NEVER = {*PLACES.split(), *DEVICES.split(), *CADENCE.split()}
SAME_ALTHOUGH_IT_NEVER_MATTERS = {
    "train_dataset", "train_annotations", "train_images", "class_names", "run_distribute", "device_num", "log_norms",
}  # fmt: skip
FREE_ALTHOUGH_IT_MATTERS = {
    "epoch_size", "end_epoch", "max_steps", "patience", "finetune", "test_cfg", "eval_mode", "eval_scales", "eval_flip",
    "eval_stride", "eval_label_size", "eval_smoothing", "eval_width", "eval_height", "eval_padding", "eval_resize",
    "tile", "tile_overlap",
    "lr", "scale_lr", "base_batch_size", "min_lr",
    "warmup_step", "warmup_epochs", "lr_init", "warmup_ratio", "warmup_first_step", "lr_type", "lr_epochs",
    "lr_base_step", "lr_power", "lr_steps",
}  # fmt: skip


def names_with(fact: str, value: str) -> set[str]:
    return {leaf.name for leaf in leaves(Config) if getattr(leaf, fact) == value}


def test_every_key_has_both_facts():
    found = {leaf.name: (leaf.matters, leaf.on_resume) for leaf in leaves(Config)}
    wrong = {name: facts for name, facts in found.items() if not all(one in FACTS[n] for n, one in zip(FACTS, facts))}
    assert len(found) > 200 and not wrong


def test_places_devices_and_cadence_matter_to_no_result_and_everything_else_does():
    assert names_with("matters", "never") == NEVER


SUBDIVISION = {"seg_head.pointrend.subdivision_steps", "seg_head.pointrend.subdivision_num_points"}  # as test_cfg


def test_a_resumed_run_may_change_what_never_matters_how_long_it_trains_and_how_it_is_evaluated():
    free = {name.partition(".")[0] for name in names_with("on_resume", "free") - SUBDIVISION}
    assert names_with("on_resume", "free") >= SUBDIVISION
    assert free == NEVER - SAME_ALTHOUGH_IT_NEVER_MATTERS | FREE_ALTHOUGH_IT_MATTERS


@pytest.mark.parametrize(
    ("name", "reach"),
    [
        ("num_classes", "weights"), ("rpn.anchor_generator.scales", "weights"), ("bbox_head.norm_cfg", "weights"),
        ("train_cfg.rcnn.mask_size", "weights"), ("img_mean", "scores"), ("backbone.style", "scores"),
        ("test_cfg.rpn.nms_pre", "scores"), ("train_cfg.rpn_proposal.nms_pre", "training"), ("lr", "training"),
        ("backbone.norm_cfg.momentum", "training"), ("sync_batchnorm", "training"),
    ],
)  # fmt: skip
def test_how_far_a_key_reaches(name, reach):
    assert name in names_with("matters", reach)


def test_a_fact_holds_for_the_key_its_class_or_its_section_the_nearest_counts():
    @keys(matters="training")
    class Inner:
        own: int = key(1, "says it itself", matters="never")
        of_class: int = key(2, "has it of its class")

    @keys(on_resume="same")
    class Outer:
        first: Inner = section(Inner)
        second: Inner = section(Inner, on_resume="free")

    facts = {leaf.name: (leaf.matters, leaf.on_resume) for leaf in leaves(Outer)}
    assert facts == {
        "first.own": ("never", "same"),
        "first.of_class": ("training", "same"),
        "second.own": ("never", "free"),
        "second.of_class": ("training", "free"),
    }


def test_sections_are_equal_by_class_and_values_and_show_them():
    @keys(matters="training", on_resume="same")
    class One:
        rate: float = key(0.5, "a rate")
        steps: list[int] = key([1, 2], "a list")

    @keys(matters="training", on_resume="same")
    class Other(One):
        pass

    assert One() == One(steps=[1, 2]) and One() != One(rate=0.25) and One() != Other()
    assert repr(One(rate=0.25)) == "One(rate=0.25, steps=[1, 2])"
    with pytest.raises(TypeError, match="unhashable"):
        hash(One())


def test_a_key_without_its_facts_or_with_another_word_is_an_error_that_names_it():
    @keys(on_resume="same")
    class Forgetful:
        lr: float = key(0.1, "learning rate")

    with pytest.raises(ValueError, match="lr: matters must be said"):
        list(leaves(Forgetful))
    with pytest.raises(ValueError, match="matters is 'always'; it may be weights, scores, training, never"):
        key(1, "a key", matters="always")


def test_the_keys_of_an_optional_section_are_leaves_where_it_is_there(data_files):
    with_norm = {leaf.name: leaf.value for leaf in leaves(load_config(str(data_files / "seed_spinenet.yaml")))}
    without = {leaf.name: leaf.value for leaf in leaves(load_config(str(data_files / "seed_hrnet.yaml")))}
    assert with_norm["bbox_head.norm_cfg"] is True and with_norm["bbox_head.norm_cfg.eps"] == 0.001
    assert without["bbox_head.norm_cfg"] is False and "bbox_head.norm_cfg.eps" not in without
