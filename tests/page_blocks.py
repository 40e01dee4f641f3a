"""Pages of docs/ that a test follows word by word: their code blocks, and modules made of them."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def blocks(page: str, languages: str = "python|text|yaml") -> list[str]:
    """The fenced blocks of docs/`page` in these languages, in their order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"```(?:{languages})\n(.*?)```", text, re.DOTALL)


def add_module(name: str, text: str, folder: Path, monkeypatch) -> ModuleType:
    """`text`, written into `folder`, as the module of this dotted name until the test ends."""
    path = folder / f"{name.rpartition('.')[2]}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # where the compiler looks for the source
    spec.loader.exec_module(module)
    return module


def write_config(text: str, path: Path) -> str:
    """`text` as a configuration file that finds its `_base_` in configs/demo; its path."""
    path.write_text(re.sub(r"^_base_: ", f"_base_: {ROOT}/configs/demo/", text, flags=re.M), encoding="utf-8")
    return str(path)
