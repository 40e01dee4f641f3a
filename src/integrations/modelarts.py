"""Huawei Cloud ModelArts: data and checkpoints come from object storage before a run, results go there afterwards.

The copying is done by `moxing`, which ModelArts' images bring along.
"""

import contextlib
import fcntl
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..config import Config, with_typed
from ..errors import UserError
from ..process import runtime

# Keys of what the commands write, besides train_outputs.
PLACES = (  # in the copied data, where they are named
    "val_dataset", "mindrecord_dir", "train_annotations", "train_images", "val_annotations", "val_images", "pred_input",
)  # fmt: skip
RESULTS = ("prediction_path", "pred_output", "draw", "report_dir", "file_name")


@contextlib.contextmanager
def modelarts(cfg: Config, checkpoint_key: str) -> Iterator[Config]:
    """The configuration to go on with: `cfg` itself unless `cfg.enable_modelarts`.

    Copies data_url to data_path, eval_data_url beside it and checkpoint_url to load_path, once on each machine; the
    paths of the given configuration lead there: relative ones lie in the copies, `checkpoint_key` is the key that
    takes a checkpoint_url which is a file. Everything that the command writes goes to output_path, which the main rank
    copies to train_url at the end, however the command ends; with `cfg.resume` train_url is copied in first.

    UserError if moxing is missing, if a copy fails, or if what is to be copied is not there.
    """
    if not cfg.enable_modelarts:
        yield cfg
        return
    moxing = _moxing()
    typed = cfg.typed
    cfg = replace(cfg, enable_modelarts=False)  # a run's config.yaml is for anywhere
    cfg = with_typed(_bring_checkpoint(_bring_data(cfg, moxing), moxing, checkpoint_key), typed)
    if not cfg.train_url:
        yield cfg
        return
    cfg = with_typed(_prepare_outputs(cfg, moxing), typed)
    previous = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield cfg
    except BaseException:
        try:
            _send_results(cfg, moxing)
        except UserError as error:  # the command's own end counts
            print(f"error: {error}", file=sys.stderr, flush=True)
        raise
    else:
        _send_results(cfg, moxing)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame) -> None:
    """The platform's stop signal, or Ctrl-C: an exception, so that results are sent."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _moxing():
    try:
        import moxing
    except ImportError:
        raise UserError(
            "enable_modelarts is switched on, but the package moxing is missing: ModelArts' own images have it"
        ) from None
    return moxing


def _bring_data(cfg: Config, moxing) -> Config:
    if cfg.data_url:
        _copy_once(moxing, "data_url", cfg.data_url, Path(cfg.data_path))
        names = [name for name in PLACES if getattr(cfg, name)]
        paths = {name: _within(cfg.data_path, getattr(cfg, name)) for name in ("train_dataset", *names)}
        cfg = replace(cfg, **paths)
    if cfg.eval_data_url:
        folder = Path(f"{cfg.data_path.rstrip('/')}_eval")
        _copy_once(moxing, "eval_data_url", cfg.eval_data_url, folder)
        cfg = replace(cfg, val_dataset=str(folder))
    return cfg


def _within(folder: str, place: str | list[str]) -> str | list[str]:
    """A path in a folder, or several."""
    return [_within(folder, one) for one in place] if isinstance(place, list) else str(Path(folder) / place)


def _bring_checkpoint(cfg: Config, moxing, checkpoint_key: str) -> Config:
    if not cfg.checkpoint_url:
        return cfg
    folder = Path(cfg.load_path).resolve()
    copied = _copy_once(moxing, "checkpoint_url", cfg.checkpoint_url, folder)
    if copied.is_file() and not getattr(cfg, checkpoint_key):
        cfg = replace(cfg, **{checkpoint_key: str(copied)})
    names = [name for name in ("pre_trained", "checkpoint_path") if getattr(cfg, name)]
    cfg = replace(cfg, **{name: str(folder / getattr(cfg, name)) for name in names})
    if cfg.backbone.pretrained:
        cfg = replace(cfg, backbone=replace(cfg.backbone, pretrained=str(folder / cfg.backbone.pretrained)))
    return cfg


def _prepare_outputs(cfg: Config, moxing) -> Config:
    names = [name for name in RESULTS if getattr(cfg, name)]
    paths = {name: str(Path(cfg.output_path) / Path(getattr(cfg, name)).name) for name in names}
    if cfg.resume and moxing.file.exists(cfg.train_url):
        _copy_once(moxing, "train_url", cfg.train_url, Path(cfg.output_path))
    if isinstance(cfg.resume, str) and cfg.resume:
        paths["resume"] = str(Path(cfg.output_path) / cfg.resume)
    return replace(cfg, train_outputs=cfg.output_path, **paths)


def _copy_once(moxing, key: str, url: str, target: Path) -> Path:
    """Copy a folder to `target`, or a file into it, by whichever process of this machine comes first; the others wait.

    A note beside `target` says what was copied: a command that is started again on the machine does not copy again.
    """
    note = target.with_name(f".{target.name}.copied")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target.with_name(f".{target.name}.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = note.read_text().splitlines() if note.exists() else []
            if known[:1] == [url] and Path(known[1]).exists():
                print(f"{key}: {url} is in {target} already (delete {note} to copy it again)", flush=True)
                return Path(known[1])
            if not moxing.file.exists(url):
                raise UserError(f"{key}: {url} does not exist")
            if moxing.file.is_directory(url):
                copied = target
                moxing.file.copy_parallel(url, str(target))
            else:
                copied = target / Path(url).name
                target.mkdir(exist_ok=True)
                moxing.file.copy(url, str(copied))
            note.write_text(f"{url}\n{copied}\n")
    except UserError:
        raise
    except Exception as error:  # moxing raises many kinds
        raise UserError(f"{key}: {url} cannot be copied to {target} ({_reason(error)})") from None
    print(f"{key}: {url} copied to {copied}", flush=True)
    return copied


def _send_results(cfg: Config, moxing) -> None:
    """Only the main rank writes results, so it alone copies them."""
    if (cfg.run_distribute and runtime.launched_rank()) or not Path(cfg.output_path).exists():
        return
    try:
        moxing.file.copy_parallel(cfg.output_path, cfg.train_url)
    except Exception as error:  # moxing raises many kinds
        raise UserError(
            f"the results in {cfg.output_path} cannot be copied to train_url {cfg.train_url} ({_reason(error)})"
        ) from None
    print(f"train_url: results copied from {cfg.output_path} to {cfg.train_url}", flush=True)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
