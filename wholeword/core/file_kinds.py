"""What a file is that should be text and is not: told by its first bytes."""

import codecs
import re
from typing import NamedTuple

HEAD = 4096  # bytes to look at


class Kind(NamedTuple):
    """A kind of file that is not text as it is."""

    name: str
    advice: str
    is_markup: bool = False  # text all the same, for whoever wants its tags

    def __str__(self) -> str:
        return f"{self.name}, not plain text: {self.advice}"


UNPACK = "unpack it first"
NOT_TEXT = "expected UTF-8 text"
LFS = Kind("a Git LFS pointer", "fetch the file itself (git lfs pull)")
UTF_16 = Kind("UTF-16 text", "convert it (iconv -f utf-16 -t utf-8)")
UTF_32 = Kind("UTF-32 text", "convert it (iconv -f utf-32 -t utf-8)")
HTML = Kind("an HTML page", "expected text without tags; was it downloaded from the page about the file instead of the file?", True)
MEDIAWIKI = Kind("a MediaWiki dump (XML)", "extract its text first, as WikiExtractor does", True)
CARRIAGE_RETURNS = Kind("text whose lines end in carriage returns alone", r"convert it (tr '\r' '\n')")
BINARY = Kind("binary data", NOT_TEXT)

# sources: file(1)'s magic numbers, and the formats' own descriptions
BEGINNINGS = (
    (b"\x1f\x8b", Kind("gzip data", "unpack it (gunzip), or give it a name that ends in .gz if it is a corpus")),
    *((b"BZh%d1AY&SY" % level, Kind("bzip2 data", "unpack it first (bunzip2)")) for level in range(1, 10)),
    (b"\xfd7zXZ\x00", Kind("xz data", "unpack it first (unxz)")),
    (b"\x28\xb5\x2f\xfd", Kind("Zstandard data", "unpack it (unzstd), or give it a name that ends in .zst if it is a corpus")),
    (b"\x04\x22\x4d\x18", Kind("LZ4 data", UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Kind("a 7-Zip archive", UNPACK)),
    (b"Rar!\x1a\x07", Kind("a RAR archive", UNPACK)),
    (b"PK\x03\x04", Kind("a zip archive (or a file that is one inside, such as .xlsx or .docx)", "unpack it, or save it as UTF-8 text")),
    (b"PK\x05\x06", Kind("an empty zip archive", NOT_TEXT)),
    (b"%PDF-", Kind("a PDF document", "extract its text first")),
    (b"{\\rtf", Kind("an RTF document", "save it as UTF-8 text")),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind("a document of Microsoft Office (.doc, .xls)", "save it as UTF-8 text")),
    (b"PAR1\x15", Kind("a Parquet file", "write its rows as text first")),
    (b"ARROW1", Kind("an Arrow file", "write its rows as text first")),
    (b"SQLite format 3\x00", Kind("an SQLite database", "write its rows as text first")),
    (b"\x89HDF\r\n\x1a\n", Kind("an HDF5 file", NOT_TEXT)),
    (b"\x93NUMPY", Kind("a NumPy array", NOT_TEXT)),
    (b"\x89PNG\r\n\x1a\n", Kind("a PNG image", NOT_TEXT)),
    (b"\xff\xd8\xff", Kind("a JPEG image", NOT_TEXT)),
    (b"\x7fELF", Kind("a program", NOT_TEXT)),
    (b"version https://git-lfs.github.com/spec/", LFS),
    (codecs.BOM_UTF32_LE, UTF_32),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, UTF_32),
    (codecs.BOM_UTF16_LE, UTF_16),
    (codecs.BOM_UTF16_BE, UTF_16),
)
TAR = (257, b"ustar")
PROLOGUE = rb"(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*"
MARKUP = (
    (re.compile(PROLOGUE + rb"<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL), HTML),
    (re.compile(rb"(<\?xml[^>]*>\s*)?<mediawiki\b"), MEDIAWIKI),
)
# pickles of protocol 2 and later, as torch.save and joblib write them
PICKLE = re.compile(rb"\x80[\x02-\x05][\x8a\x95(}\]X\x8c\x63]")
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
MAX_CONTROLS = 0.02  # of the bytes of text in a wrong encoding; a tenth of random bytes are control characters
CHINESE = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
MIN_CHINESE, MOSTLY = 8, 0.9  # characters, and their share, by which UTF-16 is told from a multi-byte encoding read as such
MAX_ZEROS = 0.2  # of the bytes of text; half the bytes of Latin text in UTF-16 are zero


def kind_of(head: bytes) -> Kind | None:
    """What a file is, by its beginning (`HEAD` bytes or more); None if nothing speaks against text, whatever its encoding."""
    for beginning, kind in BEGINNINGS:
        if head.startswith(beginning):
            return kind
    offset, mark = TAR
    if head.startswith(mark, offset):
        return Kind("a tar archive", "unpack it first (tar -xf)")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    for pattern, kind in MARKUP:
        if pattern.match(start):
            return kind
    head = head[:HEAD]
    if PICKLE.match(head):
        return Kind("a Python pickle", NOT_TEXT)
    if head.count(0) > MAX_ZEROS * len(head):
        return UTF_32 if _is_utf32(head) else UTF_16 if _is_utf16(head) else BINARY
    if _is_utf8(head):
        return None
    if _is_utf16(head):
        return UTF_16
    return BINARY if len(CONTROLS.findall(head)) > max(1, MAX_CONTROLS * len(head)) else None


def ends_lines_in_carriage_returns(data: bytes) -> bool:
    """Whether more lines end in a carriage return alone than in a line feed."""
    if b"\r" not in data:
        return False
    alone = data.count(b"\r") - data.count(b"\r\n") - data.endswith(b"\r")
    return alone > data.count(b"\n")


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _is_utf32(head: bytes) -> bool:
    """Whether bytes are UTF-32 without its mark: few numbers are characters, so that nothing else reads as such."""
    for encoding in ("utf-32-le", "utf-32-be"):
        try:
            text = head[: len(head) // 4 * 4].decode(encoding)
        except UnicodeDecodeError:
            continue
        return "\0" not in text
    return False


def _is_utf16(head: bytes) -> bool:
    """Whether bytes are UTF-16 without its mark: a line feed or blank is a pair with a zero byte, or nearly all is Chinese."""
    even = head[: len(head) // 2 * 2]
    for encoding, blanks in (("utf-16-le", (b"\n\0", b" \0")), ("utf-16-be", (b"\0\n", b"\0 "))):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(even)
        except UnicodeDecodeError:
            continue
        has_blanks = any(even[place : place + 2] in blanks for place in range(0, len(even), 2))
        if has_blanks or len(CHINESE.findall(text)) >= max(MIN_CHINESE, MOSTLY * len(text)):
            return True
    return False
