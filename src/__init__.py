"""A vision zoo on MindSpore. In the repository the package is `src`, in a wheel `ms_vision_zoo`."""

__version__ = "0.2.0"
