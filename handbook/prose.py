"""The numbers in a page's prose, and the clauses that say where each comes from.

A clause stands in a comment behind the number, in the same paragraph, list item or row of a table; behind a figure or a
heading the comment is a paragraph of its own: `<!-- numbers: 28 = 4 * 7; 10 shown -->`. What clauses may say is in
`handbook.origins`; what needs none is in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^(?P<skip><!-- not run: .+ -->\n+)?```(?P<kind>\w+)(?P<more>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"(?<![\d.,])\d(?:[\d,]*\d)?(?:\.\d+)?")
COMMENT = re.compile(r"<!--(.*?)-->", re.S)
CLAUSE = re.compile(r"(?P<numbers>.+?) (?P<how>shown|in|is|option|counts|minutes|field|stated|=|<=|>=|<|>)(?: (?P<what>.+))?")
WORDS = {"three": 3, "four": 4, "six": 6, "seven": 7, "nine": 9, "ten": 10, "thousand": 1000}
"""Numbers that may be said in words; a clause may say where they come from, and need not."""
KINDS = {
    "code: commands, fields and formulas": r"`[^`]*`",
    "an address": r"\]\([^)]*\)|</?[a-z][^>]*>",
    "an answer of a server": r"\b(?:429|503)\b|\ba 500\b",
    "a name with a digit in it": r"\b[A-Za-z]+(?:[-_/]?[A-Za-z]+)*/?\d\w*|\b(?:M|G|GI|D)/(?:M|G|D)/\d",
    "a publication": r"\bRFC \d+|\bHotOS \d{4}",
    "the number of a heading, of an item or of a row": r"^#+ \d+\.|^\s*\d+\. |^\| \d+ \|",
    "a lesson or challenge": r"\b[Ll]esson \d\b(?:, then \d\b)?|\b[Cc]hallenge 0\d\b(?: or 0\d\b)?",
    "a version": r"\b(?:Python ≥|Flink) \d\.\d+(?: and \d\.\d+)?",
    "a timetable": r"^\| \d:\d\d \| \d+ \||^### \d+ minutes",
}
"""What needs no clause, with how it is known: either no number at all, or checked by a test of its own."""


@dataclass(frozen=True)
class Clause:
    """Where the number that is written as `number` comes from: `how` in the words of `origins`, and `what`."""

    number: str
    how: str
    what: str

    @property
    def value(self) -> float:
        """The number."""
        known = WORDS.get(self.number.lower())
        return float(self.number.replace(",", "")) if known is None else float(known)

    @property
    def half_a_digit(self) -> float:
        """How far off a number is at most that is rounded to this one."""
        return 0.5 * 10.0 ** -len(self.number.partition(".")[2])


@dataclass(frozen=True)
class Part:
    """A paragraph, heading, item or row: where it begins, the numbers in it that need a clause, and its clauses."""

    line: int
    numbers: tuple[str, ...]
    clauses: tuple[Clause, ...]
    words: str

    @property
    def unexplained(self) -> list[str]:
        """Numbers that no clause is about."""
        said = [clause.number for clause in self.clauses]
        return [number for number in self.numbers if not (number in said and not said.remove(number))]

    @property
    def idle(self) -> list[Clause]:
        """Clauses about numbers that are not there."""
        left, spoken = list(self.numbers), self.words.lower().split()
        return [
            one for one in self.clauses
            if not (one.number in left and not left.remove(one.number)) and one.number.lower() not in spoken
        ]  # fmt: skip


def shown(page: str) -> set[float]:
    """The numbers in the blocks of a page that are executed, and in what they print."""
    texts = [match["text"] for match in FENCE.finditer(page) if not match["skip"]]
    return {float(number.replace(",", "")) for text in texts for number in NUMBER.findall(text)}


def parts(page: str) -> list[Part]:
    """In order. Raises `ValueError` for a clause that cannot be read."""
    comments: list[str] = []

    def put_away(match: re.Match[str]) -> str:
        comments.append(match[1])
        return f"\x00{len(comments) - 1}\x00" + "\x01" * match[0].count("\n")

    text = FENCE.sub(lambda match: "\n" * match[0].count("\n"), page)
    found: list[Part] = []
    for line, words in _pieces(COMMENT.sub(put_away, text)):
        clauses = tuple(clause for k in re.findall("\x00(\\d+)\x00", words) for clause in read(comments[int(k)]))
        bare = re.sub("\x00\\d+\x00|\x01", "", words)
        if found and clauses and not bare.strip():
            last = found.pop()
            found.append(Part(last.line, last.numbers, last.clauses + clauses, last.words))
        else:
            found.append(Part(line, tuple(_numbers(bare)), clauses, re.sub(r"[^\w\s]", " ", bare)))
    return found


def read(comment: str) -> Iterator[Clause]:
    """The clauses of a comment. Raises `ValueError`."""
    head, _, rest = comment.strip().partition("numbers:")
    if head or not rest:
        return
    for text in " ".join(rest.split()).split("; "):
        match = CLAUSE.fullmatch(text)
        if match is None:
            raise ValueError(f"'{text}' does not say where a number comes from")
        for number in match["numbers"].split(", "):
            yield Clause(number, match["how"], match["what"] or "")


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """(line, words) of each part."""
    line, begun, piece = 1, 1, ""
    for row in text.split("\n"):
        alone = re.match(r"\||#|\s*[-*] |\s*\d+\. ", row)
        if piece and (alone or not row.strip()):
            yield begun, piece
            piece = ""
        if row.strip():
            begun, piece = (line, row) if not piece else (begun, f"{piece}\n{row}")
        line += 1 + row.count("\x01")
    if piece:
        yield begun, piece


def _numbers(words: str) -> list[str]:
    for pattern in KINDS.values():
        words = re.sub(pattern, " ", words, flags=re.M)
    return NUMBER.findall(words)
