"""A vision zoo on MindSpore. In the repository the package is `src`, in a wheel `ms_vision_zoo`."""

import os as _os
import sys as _sys

__version__ = "0.2.0"
PROGRAMS = (  # scripts of the repository; those of others keep their signals
    "train.py", "eval.py", "infer.py", "export.py", "convert_from_pt.py", "draw_predictions.py",
    "deploy/infer_files.py", "deploy/preprocess.py", "deploy/postprocess.py",
)  # fmt: skip


def _is_program() -> bool:
    """Whether this process was started to run one of `PROGRAMS` or a module of this package, and has just begun."""
    if "numpy" in _sys.modules:  # and its threads: another program, or a test
        return False
    started = zip(_sys.orig_argv, _sys.orig_argv[1:])
    if any(option == "-m" and name.startswith(f"{__name__}.") for option, name in started):
        return True
    root = _os.path.dirname(_os.path.dirname(_os.path.realpath(__file__)))
    script = getattr(_sys.modules.get("__main__"), "__file__", None)
    return script is not None and _os.path.relpath(_os.path.realpath(script), root) in PROGRAMS


if _is_program():  # its signals are taken from here on, before anything large is imported
    import _signal  # the built-in part of `signal`, whose import takes long enough for a Ctrl-C

    if hasattr(_signal, "pthread_sigmask"):
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGINT})
        from .process import signals as _signals

        _signals.watch()
