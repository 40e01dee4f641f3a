"""A vision zoo on MindSpore. In the repository the package is `src`, in a wheel `ms_vision_zoo`."""

import os as _os
import sys as _sys

__version__ = "0.2.0"


def _is_program() -> bool:
    """Whether this process was started to run a module of this package, or a script beside it."""
    started = zip(_sys.orig_argv, _sys.orig_argv[1:])
    if any(option == "-m" and name.startswith(f"{__name__}.") for option, name in started):
        return True
    script = getattr(_sys.modules.get("__main__"), "__file__", None)
    beside = _os.path.dirname(_os.path.realpath(__path__[0]))
    return bool(script) and _os.path.dirname(_os.path.realpath(script)) == beside


if _is_program():  # its signals are taken from here on, before anything large is imported
    import _signal  # the built-in part of `signal`, whose import takes long enough for a Ctrl-C

    if hasattr(_signal, "pthread_sigmask"):
        _signal.pthread_sigmask(_signal.SIG_BLOCK, {_signal.SIGINT})
        from .process import signals as _signals

        _signals.watch()
