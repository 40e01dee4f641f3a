"""How much memory a process has taken at most."""

import re
import resource
from pathlib import Path

STATUS = Path("/proc/self/status")  # Linux's; `ru_maxrss` may be that of the process that has started this one


def peak_memory(device: str) -> int:
    """Bytes: on the host where the device is a CPU (without data workers of their own), else on the device.

    A device's is what MindSpore has allocated there; asking makes no step wait.
    """
    if device != "CPU":
        from mindspore.runtime import max_memory_allocated

        return int(max_memory_allocated())
    try:
        found = re.search(rb"^VmHWM:\s*(\d+) kB", STATUS.read_bytes(), re.MULTILINE)
    except OSError:
        found = None
    return 1024 * (int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
