"""Published weights by name: `python -m src.commands.weights` lists them, `... weights NAME` downloads the file, checks
it, converts it and keeps both. `--checkpoint_path zoo:NAME`, `--pre_trained zoo:NAME` and `--backbone.pretrained
zoo:NAME` of the other commands do the same where it is not here yet.

NAME is what the list has, or a shorter one that leads to one row. VISION_ZOO_HOME names the folder for all of it.
"""

import argparse
from collections.abc import Iterator, Mapping

from ..config.arguments import Arguments
from ..convert.published import Published
from ..errors import counted, plain
from ..process.caches import weights_home
from ..process.command import entry_point
from ..zoo.fetch import Weights
from ..zoo.names import find, the_table

MIRROR = "web address of a server to download from in the place of the files' own; also VISION_ZOO_MIRROR"
WIDEST = 72  # characters of a column of names
TABLE = "table of weights of one's own in the place of the project's (docs/weights.md); also VISION_ZOO_TABLE"


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(
        prog="python -m src.commands.weights", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="weights to fetch; without one all are listed")
    parser.add_argument("--mirror", default="", metavar="URL", help=MIRROR)
    parser.add_argument("--table", default="", metavar="FILE.csv", help=TABLE)
    own = parser.parse_args(argv)
    table = the_table(own.table)
    wanted = [Weights(name, table[name], own.mirror, own.table) for name in (find(one, table) for one in own.names)]
    if not wanted:
        for line in listing(table):
            print(line)
    for weights in wanted:
        fetch(weights)


def fetch(weights: Weights) -> None:
    """Download and convert, where that has not been done, and say what to do with the checkpoint."""
    row = weights.row
    words = (row.project, row.note, scores_of(row), row.data, row.licence and f"licence {row.licence}")
    print(", ".join(plain(word, 200) for word in (weights.name, *words) if word), flush=True)
    path = weights.converted(say=_say, account=_say)
    keys = "--backbone.pretrained" if weights.is_backbone else "--checkpoint_path, --pre_trained"
    print(f"{keys} take zoo:{weights.name}, or the checkpoint itself:\n{path}", flush=True)


def listing(table: Mapping[str, Published]) -> Iterator[str]:
    """A line a row, the projects one after the other, and where files are kept."""
    width = min(max((len(plain(name, 100)) for name in table), default=0), WIDEST)
    for project in dict.fromkeys(row.project for row in table.values()):
        yield f"{plain(project) or 'no project'}:"
        for name, row in table.items():
            if row.project == project:
                weights = Weights(name, row)
                configs = row.configs or tuple(f"backbone of {one}" for one in row.backbone_of)
                is_here = "here" if weights.file() else "" if weights.address else "by hand"
                words = (f"{plain(name, 100):<{width}}", scores_of(row), *configs[:1], is_here)
                yield "  " + "  ".join(plain(word, 120) for word in words if word)
    yield f"{counted(len(table), 'file')} of weights; they are kept in {weights_home()}"


def scores_of(row: Published) -> str:
    """bbox_mAP 40.1, seg_mAP 36.0"""
    return ", ".join(f"{plain(name)} {score:g}" for name, score in row.scores.items())


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
