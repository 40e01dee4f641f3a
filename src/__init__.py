"""A vision zoo on MindSpore. In the repository the package is `src`, in a wheel `ms_vision_zoo`.

    from ms_vision_zoo import load

    result = load("RUN_FOLDER").predict("photo.jpg")
"""

import os as _os
import sys as _sys

__version__ = "0.2.0"
PROGRAMS = (  # scripts of the repository; those of others keep their signals
    "train.py", "eval.py", "infer.py", "export.py", "convert_from_pt.py", "draw_predictions.py",
    "convert_weights.py", "deploy/infer_files.py", "deploy/preprocess.py", "deploy/postprocess.py",
)  # fmt: skip
COMMAND = "vision-zoo"  # which an installed wheel has beside Python
LAZY = {"load": "api", "Model": "api", "UserError": "errors"}  # public names that are imported when asked for


def __getattr__(name: str):
    if name not in LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *LAZY])


def _is_program() -> bool:
    """Whether this process was started to run one of `PROGRAMS` or a module of this package, and has just begun."""
    if "numpy" in _sys.modules:  # and its threads: another program, or a test
        return False
    started = zip(_sys.orig_argv, _sys.orig_argv[1:])
    if any(option == "-m" and f"{name}.".startswith(f"{__name__}.") for option, name in started):
        return True
    root = _os.path.dirname(_os.path.dirname(_os.path.realpath(__file__)))
    script = getattr(_sys.modules.get("__main__"), "__file__", None)
    if script is not None and _os.path.basename(script) == COMMAND:
        return True
    return script is not None and _os.path.relpath(_os.path.realpath(script), root) in PROGRAMS


if _is_program():  # its signals are taken from here on, before anything large is imported
    import _signal  # the built-in part of `signal`, whose import takes long enough for a Ctrl-C

    if hasattr(_signal, "pthread_sigmask"):
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGINT})
        from .process import signals as _signals

        _signals.watch()
