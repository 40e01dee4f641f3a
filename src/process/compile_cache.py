"""Graphs that are compiled once: a later run reads them instead, as long as nothing that they are made from differs.

MindSpore's own cache does the reading and writing, but it knows a graph by its number in the process alone and takes
one for another when an attribute has changed (shared in one folder, it would be wrong silently). So it gets a folder
that is this process's own, in which there is the right graph, if any, while one is compiled; which one is right says a
hash over everything that can reach it (graph_hash.py).
"""

import functools
import hashlib
import logging
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..config import Config, graph_keys
from ..errors import UserError
from .caches import is_switched_off, user_caches
from .graph_store import GraphStore, make_private
from .runtime import Runtime

logger = logging.getLogger(__name__)

SWITCH = "MS_VISION_ZOO_COMPILE_CACHE"  # a word for "no" turns the cache off whatever the configuration says
FRAMEWORK_SWITCH = "MS_COMPILER_CACHE_ENABLE"  # MindSpore's own cache for all graphs; the two do not go together
MEASURED = "2.8."  # releases of MindSpore whose cache does what is said here
COMPILER_SETTINGS = ("MS_DEV_", "MS_ENABLE_", "MS_JIT")  # of environment variables


def compile_once(cfg: Config, process: Runtime, *networks: Any) -> None:
    """From now on each graph of these networks is read from the cache if it is there, and kept there if not.

    The log says which. Nothing happens where the cache is off, on devices other than the CPU (where it was never
    tried), in PyNative mode, and to what is no MindSpore network. UserError where `compile_cache_path` cannot be used.
    """
    import mindspore as ms

    cells = [network for network in networks if isinstance(network, ms.nn.Cell)]
    if not cells or not _is_wanted(cfg, ms.__version__):
        return
    store = GraphStore(cache_folder(cfg.compile_cache_path))
    reason = make_private(store.folder)
    if not reason and not _framework:
        role = os.environ.get("MS_ROLE", "") if process.size > 1 else ""
        try:
            _framework.append(_FrameworkCache(store.own_folder(), process.rank, role))
        except OSError as error:
            reason = f"it cannot be written ({error.strerror})"
    if reason and cfg.compile_cache_path:
        raise UserError(f"compile_cache_path: {store.folder} cannot be used, {reason}")
    if reason:
        logger.warning("graphs are compiled anew in every run: %s cannot be used, %s", store.folder, reason)
        return
    facts = _facts(ms, cfg, process)
    for cell in cells:
        # Every call of a network in graph mode goes through its `compile`, which knows what is compiled already.
        vars(cell)["compile"] = _Compiler(cell, store, _framework[0], facts)


def cache_folder(configured: str) -> Path:
    """`compile_cache_path`, or by default a folder of the user's caches."""
    if configured:
        return Path(os.path.realpath(os.path.expanduser(configured)))
    return (user_caches() / "graphs").resolve()


def _is_wanted(cfg: Config, version: str) -> bool:
    return (
        cfg.compile_cache
        and cfg.mode == "graph"
        and cfg.device_target == "CPU"
        and version.startswith(MEASURED)
        and not is_switched_off(SWITCH)
        and not os.environ.get(FRAMEWORK_SWITCH)
    )


def _facts(ms, cfg: Config, process: Runtime) -> dict[str, Any]:
    """What reaches graphs beside the network itself."""
    import numpy as np

    from .graph_hash import PACKAGE, code_hash

    return {
        "configuration": graph_keys(cfg),
        "versions": (ms.__version__, np.__version__, sys.version, platform.machine()),
        "code": code_hash(PACKAGE, "*.py"),
        "operators": _operators(PACKAGE / "ops"),
        "ranks": (process.rank, process.size, ms.get_auto_parallel_context("gradients_mean")),
        "device": (cfg.device_target, cfg.mode, ms.get_context("jit_level"), ms.get_context("max_call_depth")),
        "environment": sorted(item for item in os.environ.items() if item[0].startswith(COMPILER_SETTINGS)),
    }


def _operators(own: Path) -> tuple[str, ...]:
    """The compiled operators: graphs name their libraries by path."""
    from .graph_hash import code_hash
    from .operators import folders

    return tuple(f"{folder} {code_hash(folder, '*.so')}" for folder in (own, *folders()))


class _Compiler:
    """`compile` of one network."""

    def __init__(self, cell, store: GraphStore, framework: "_FrameworkCache", facts: Mapping[str, Any]):
        self.cell, self.store, self.framework, self.facts = cell, store, framework, facts
        self.compiled: set[tuple] = set()

    def __call__(self, *arguments: Any, **named: Any) -> None:
        from .graph_hash import signature

        compile_plainly = functools.partial(type(self.cell).compile, self.cell, *arguments, **named)
        which = (self.cell.phase, self.cell.training, signature(arguments, named))
        if which in self.compiled or not self.framework.usable:
            compile_plainly()
        else:
            self._compile(compile_plainly, arguments, named)
        self.compiled.add(which)

    def _compile(self, compile_plainly: Callable[[], None], arguments: tuple, named: dict) -> None:
        from .graph_hash import graph_hash

        started, name = time.perf_counter(), type(self.cell).__name__
        key = graph_hash(self.cell, arguments, named, self.facts)
        content = self.store.get(key) if self.framework.reads else None
        try:
            written = self.framework.compile(compile_plainly, content)
        except Exception:
            self.framework.usable = False
            if content is None:
                raise
            written = b""
            compile_plainly()
        seconds = time.perf_counter() - started
        if written is None:
            logger.info("Graph of %s: read in %.1f s from the compile cache, %s", name, seconds, self.store.folder)
            return
        if content is not None:
            self.store.drop(key)  # it could not be read, although its bytes are those that were written
        logger.info("Graph of %s: compiled anew in %.1f s%s", name, seconds, self._keep(key, written))

    def _keep(self, key: str, content: bytes) -> str:
        if not content:
            return ""
        try:
            self.store.put(key, content)
        except OSError as error:
            return f"; it cannot be kept in {self.store.folder} ({error.strerror})"
        return f" and kept in {self.store.folder}"


class _FrameworkCache:
    """MindSpore's compile cache, for one graph at a time in a folder that is this process's own.

    It numbers the graphs that are compiled while it is on, and names their files by number and rank. The number of the
    next one is counted here.

    usable: False once something went otherwise than known. reads: False once a graph was not there, after which
    MindSpore looks for no other one; it still writes them.
    """

    def __init__(self, folder: Path, rank: int, role: str):
        self.folder, self.role = folder, role
        self.graphs = folder / f"rank_{rank}" / "graph_cache"
        self.number = 0
        self.usable = self.reads = True

    def compile(self, compile_plainly: Callable[[], None], content: bytes | None) -> bytes | None:
        """Compile by reading `content`, if it is given. None if it was read; otherwise what can be read the next time
        (an empty text: nothing).
        """
        given = self.graphs / f"{self.role}compile_cache_{self.number}.mindir"
        self.number += 1
        try:
            sources = self._prepare()
            before = None
            if content is not None:
                given.write_bytes(content)
                before = [(given, given.stat().st_mtime_ns)]
        except OSError:  # a full disk
            self.usable = False
            compile_plainly()
            return b""
        try:
            _compile_with_cache(compile_plainly, self.folder, sources)
            return None if before and self._files() == before else self._written()
        finally:
            for path, _ in self._files():
                path.unlink(missing_ok=True)

    def _written(self) -> bytes:
        """The one graph that there is to be after one was compiled."""
        self.reads = False
        files = self._files()
        self.usable = len(files) == 1
        return files[0][0].read_bytes() if self.usable else b""

    def _files(self) -> list[tuple[Path, int]]:
        return [(path, path.stat().st_mtime_ns) for path in self.graphs.glob("*compile_cache_*.mindir")]

    def _prepare(self) -> Path:
        """The folder, and the text by which MindSpore sees that its sources are the same: ours are in the hash."""
        self.graphs.mkdir(parents=True, exist_ok=True)
        os.utime(self.folder)  # in use
        sources, known = self.folder / "sources", self.graphs / f"{self.role}compile_dependency.hash"
        sources.write_text("in the key\n")
        if not known.exists():
            known.write_text(hashlib.sha256(hashlib.sha256(sources.read_bytes()).hexdigest().encode()).hexdigest())
        return sources


_framework: list[_FrameworkCache] = []  # one a process: MindSpore asks for its folder once


def _compile_with_cache(compile_plainly: Callable[[], None], folder: Path, sources: Path) -> None:
    """Compile with MindSpore's cache on; the sources that it looks through are the one file."""
    import mindspore as ms
    from mindspore.common import api

    look_through = api._get_compile_cache_dep_files
    api._get_compile_cache_dep_files = lambda: [str(sources)]
    ms.set_context(enable_compile_cache=True, compile_cache_path=str(folder))
    try:
        compile_plainly()
    finally:
        ms.set_context(enable_compile_cache=False)
        api._get_compile_cache_dep_files = look_through
