"""A page under load: several clients at once, every answer held against infer.py's, the server's memory watched.

    python benchmarks/serve_load.py --run RUN_FOLDER --images DIR [--clients 8] [--seconds 60] [--keys --max_waiting 16]

Prints how many answers were right, refused (with the reasons, which must be in words) and wrong, how long they took,
and the server's memory in each tenth of the time: it is to be the same at the end as when all clients have been there.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
STARTED = re.compile(r"is served at (http://\S+) until")
LONGEST_START = 300.0  # seconds: the network is compiled
TENTHS = 10
REFUSALS = ("Queue is full", "try again", "upload it again")  # what a client may be told instead of an answer


@dataclass
class Served:
    """A server that runs: its address, and its process."""

    address: str
    process: subprocess.Popen

    def memory(self) -> float:
        """Megabytes that it holds."""
        found = re.search(rb"VmRSS:\s*(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_bytes())
        return int(found[1]) / 1024


@dataclass
class Answers:
    """Of all clients. memory: of the server, in each tenth of the time."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    refused: collections.Counter = field(default_factory=collections.Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def expected(arguments: Sequence[object], images: Sequence[Path], folder: Path) -> dict[str, dict]:
    """infer.py's entries of the images by name."""
    place = folder / "images"
    place.mkdir()
    for image in images:
        (place / image.name).write_bytes(image.read_bytes())
    line = [sys.executable, "infer.py", *arguments, "--pred_input", place, "--pred_output", folder / "out.json"]
    subprocess.run(list(map(str, line)), cwd=ROOT, check=True, capture_output=True)
    found = json.loads((folder / "out.json").read_text())
    return {Path(name).name: entry for name, entry in found.items()}


@contextlib.contextmanager
def served(*arguments: object, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """`serve` with these arguments, at a free port of this machine."""
    line = [sys.executable, "-u", "-m", "src.commands.serve", *map(str, arguments), "--port", "0"]
    with tempfile.TemporaryFile("w+") as log:
        variables = os.environ | (environment or {})
        process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=variables)
        try:
            until = time.monotonic() + LONGEST_START
            while not (found := STARTED.search(_said(log))):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(_said(log))
                time.sleep(0.1)
            yield Served(found[1], process)
        finally:
            process.terminate()
            process.wait(30)


def ask_all(server: Served, images: Sequence[Path], wanted: dict[str, dict], clients: int, seconds: float) -> Answers:
    """Each client asks for one image after the other, all of them at once."""
    from gradio_client import Client

    there = [Client(server.address, verbose=False) for _ in range(clients)]
    answers, until, lock = Answers(), time.monotonic() + seconds, threading.Lock()
    threads = []
    for number, client in enumerate(there):
        first = number % len(images)
        order = [*images[first:], *images[:first]]
        threads.append(threading.Thread(target=_ask, args=(client, order, wanted, until, answers, lock)))
        threads[-1].start()
    for _ in range(TENTHS):
        time.sleep(seconds / TENTHS)
        answers.memory.append(server.memory())
    for thread in threads:
        thread.join()
    for client in there:
        client.close()
    return answers


def _ask(client, images: Sequence[Path], wanted: dict, until: float, answers: Answers, lock) -> None:
    from gradio_client import handle_file

    while time.monotonic() < until:
        for image in images:
            started = time.monotonic()
            try:
                found, problem = client.predict(handle_file(str(image)), api_name="/predict"), ""
            except Exception as error:
                found, problem = None, str(error)
            with lock:
                answers.seconds.append(time.monotonic() - started)
                if found == wanted[image.name]:
                    answers.right += 1
                elif any(words in problem for words in REFUSALS):
                    answers.refused[problem] += 1
                else:
                    answers.wrong.append(f"{image.name}: {problem or found}")


def _said(log) -> str:
    log.seek(0)
    return log.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--keys", nargs=argparse.REMAINDER, default=[])
    own = parser.parse_args()
    images = sorted(path for path in own.images.iterdir() if path.suffix in (".jpg", ".png"))
    weights = next((own.run / "best_ckpt").glob("*.ckpt"))
    with tempfile.TemporaryDirectory() as folder:
        wanted = expected(
            ("--config_path", own.run / "config.yaml", "--checkpoint_path", weights), images, Path(folder)
        )
    with served("--run", own.run, *own.keys) as server:
        print(f"memory before the first request: {server.memory():.0f} MB")
        answers = ask_all(server, images, wanted, own.clients, own.seconds)
    print(f"{own.clients} clients, {own.seconds:g} s, {len(images)} images: {answers.right} right, "
          f"{sum(answers.refused.values())} refused, {len(answers.wrong)} wrong")  # fmt: skip
    for words, count in answers.refused.most_common(5):
        print(f"  refused {count}: {words}")
    for line in answers.wrong[:5]:
        print(f"  wrong: {line[:300]}")
    print(f"an answer takes {statistics.median(answers.seconds):.2f} s, at most {max(answers.seconds):.2f} s")
    print("memory in MB:", *(f"{one:.0f}" for one in answers.memory))


if __name__ == "__main__":
    main()
