"""XML that is read with care: no document types, so no entities, no files that it names; bounded in size and depth."""

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ...errors import UserError, plain
from ...reading import read_bytes, why

MOST_BYTES, DEEPEST = 2**24, 64


def read_xml(path: Path) -> Element:
    """The outermost element of an XML file. UserError, naming it, where it cannot be read or is refused."""
    try:
        return parse_xml(read_bytes(path, MOST_BYTES))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({why(error)})") from None
    except ValueError as error:
        raise UserError(f"{path} is no XML that is read ({error})") from None


def parse_xml(content: bytes) -> Element:
    """The outermost element of an XML text. ValueError in a few words for what is none, or has a document type."""
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(name: str, attributes: dict) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it is nested too deep")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type, which may name entities and other files")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise ValueError(f"line {error.lineno}: {expat.errors.messages.get(error.code, 'not well-formed')}") from None
    except (LookupError, UnicodeError) as error:  # an encoding that nobody knows
        raise ValueError(plain(str(error))) from None
    return builder.close()


def child_text(element: Element, *names: str) -> str | None:
    """The text of the child of the child ... of these names, without white space around it; None where it lacks."""
    for name in names:
        element = element.find(name) if element is not None else None
    text = element.text if element is not None else None
    return text.strip() if text else None
