"""Two reports of `eval.py --report_dir` side by side: `python -m src.commands.compare R1 R2 [--out DIR]
[--font FILE]`.

What got better and worse from R1 to R2, by score, class and size, each with the 95 % interval of the difference
(paired bootstrap over the images), and the images that changed most. Images and classes that both have are compared.
DIR/index.html has all of it, with every table as CSV; it is outputs/comparison where nothing is named. An earlier page
of this command is replaced, nothing else.
"""

import argparse
from pathlib import Path

from ..config.arguments import Arguments
from ..inference.fonts import FontBook
from ..outputs import Inputs
from ..process.command import entry_point
from ..reports.compared import compared
from ..reports.comparison import KIND, compare, lines, write_comparison
from ..reports.folder import check_page_folder, write_report
from ..reports.saved import read_report

OUT = "outputs/comparison"


@entry_point
def main(argv: list[str] | None = None) -> None:
    parser = Arguments(
        prog="python -m src.commands.compare", description=__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("first", metavar="R1", help="folder of a report")
    parser.add_argument("second", metavar="R2", help="folder of another report, of the same task")
    parser.add_argument("--out", default=OUT, metavar="DIR", help=f"folder of the page, by default {OUT}")
    parser.add_argument("--font", default="", metavar="FILE", help="font for class names that the usual ones lack")
    own = parser.parse_args(argv)
    compare_reports(Path(own.first), Path(own.second), Path(own.out), own.font)


def compare_reports(first: Path, second: Path, out: Path, font: str = "") -> Path:
    """The page's path, which is printed after what it says."""
    inputs = Inputs(folders=(("the first report", first), ("the second report", second)))
    check_page_folder("--out", out, inputs, KIND)
    FontBook(font)
    reports = read_report(first), read_report(second)
    comparison = compare(*reports, compared(*reports))
    write_report(out, lambda folder: write_comparison(folder, comparison, font))
    for line in lines(comparison):
        print(line)
    print(out / "index.html", flush=True)
    return out / "index.html"


if __name__ == "__main__":
    main()
