"""Guards in SQL, found by the words around them.

Law: what stands behind WHERE, ON, AND or OR, up to the next word of a clause at the same depth, is a predicate; in
a constraint, so is what a branch of its CASE demands.  A predicate that is taken away is true; its parameters stay,
so that it is still the same statement.
"""

import re
from collections.abc import Iterator

from attrs import define

WORD = re.compile(r"'(?:[^']|'')*'|--[^\n]*|[A-Za-z_]\w*|\S")
BEGINS = frozenset({"WHERE", "AND", "OR", "ON"})
OF_A_CASE = frozenset({"THEN", "ELSE"})
ENDS = frozenset(
    re.findall(
        r"\w+", "WHERE AND OR ON WHEN THEN ELSE END ORDER GROUP LIMIT FOR RETURNING JOIN CROSS LEFT UNION DO SET"
    )
)
# Which rows are meant: a key is equal to a parameter, or to the key of what is joined.  The tenant is among them: row
# security says it again, and its policies are mutants of their own.
IDENTITY = re.compile(r"\(*(\w+\.)?(tenant_id|session_id|task_id|id|sha256) = (%s|ANY \(%s(::uuid\[\])?\)|\w+\.\w+)\)*")
NO_JOIN = frozenset({"CONFLICT", "CONSTRAINT", "DELETE"})  # what else may follow on ON
LOCKS = re.compile(r"\bFOR (NO KEY UPDATE|UPDATE|KEY SHARE|SHARE)( OF \w+)?( SKIP LOCKED)?")
OTHERS = (  # what guards without being a condition
    (re.compile(r"lease_epoch \+ 1\b"), "lease_epoch"),
    (re.compile(r"lease_epoch \+ \(lease_owner IS NOT NULL\)::int"), "lease_epoch"),
    (re.compile(r"greatest\(bound, (%s)\)"), r"\1"),
    (re.compile(r" ON CONFLICT DO NOTHING"), ""),
)
Edit = tuple[str, str]  #: What, and the changed text.


def edits(text: str, begins: frozenset[str] = BEGINS) -> Iterator[Edit]:
    """Yield *text* with one guard less, for each guard there is."""
    for begin, end in _predicates(text, begins):
        predicate = text[begin:end]
        if not IDENTITY.fullmatch(predicate):
            yield f"without {_line(predicate)}", f"{text[:begin]}({predicate} OR true){text[end:]}"
    for match in LOCKS.finditer(text):
        yield f"no {_line(match[0])}", text[: match.start()] + text[match.end() :]
    for pattern, plain in OTHERS:
        for match in pattern.finditer(text):
            yield f"no {_line(match[0])}", text[: match.start()] + match.expand(plain) + text[match.end() :]


def of_constraint(definition: str) -> Iterator[Edit]:
    """Yield the definition of a CHECK that demands one thing less."""
    for begin, end in _predicates(definition, BEGINS | OF_A_CASE):
        predicate = definition[begin:end]
        if predicate.strip("() ") != "true":
            yield f"without {_line(predicate)}", f"{definition[:begin]}({predicate} OR true){definition[end:]}"


def of_guard(body: str) -> Iterator[Edit]:
    """Yield the body of a guard function with one branch less, or with one of the columns that it compares."""
    for match in re.finditer(r"\bWHEN\b(.+?)(\bTHEN\s+'(\w+)')", body, re.DOTALL):
        yield f"no {match[3]} if {_line(match[1])}", f"{body[: match.start(1)]} false {body[match.start(2) :]}"
    conditions, raising, rest = body.partition("RAISE")
    for column in dict.fromkeys(re.findall(r"(?:\(|, )NEW\.(\w+)(?=[,)])", conditions)):
        without = re.sub(rf"(?:, )?\b(?:NEW|OLD)\.{column}(?=[,)])", "", conditions)
        yield f"{column} is not compared", without.replace("(, ", "(") + raising + rest


@define
class Level:
    """What is open between two brackets."""

    begin: int | None = None  #: Of a predicate.
    is_known: bool = False  #: False: it is one only if AND or OR follows.
    end: int = 0  #: Of the last word.
    between: bool = False


def _predicates(text: str, begins: frozenset[str]) -> Iterator[tuple[int, int]]:
    levels, before = [Level()], ""
    for match in WORD.finditer(text):
        word, level = match[0].upper(), levels[-1]
        if word.startswith("--"):
            continue
        if word == "BETWEEN":
            level.between = True
        elif word == "AND" and level.between:
            level.between, word = False, ""
        if word in ENDS or word in {")", ",", ";"}:
            if level.begin is not None and (level.is_known or word in {"AND", "OR"}) and level.end > level.begin:
                yield level.begin, level.end
            level.begin = None
        if word == "ON" and before == "DISTINCT":
            word = ""
        if before == "ON" and word in NO_JOIN:
            level.begin = None
        if word in begins:
            level.begin, level.is_known = match.end() + 1, True
        if word == ")" and len(levels) > 1:
            levels.pop()
        levels[-1].end = match.end()
        if word == "(":
            levels.append(Level(begin=match.end()))
        before = word
    if levels[-1].begin is not None and levels[-1].is_known and levels[-1].end > levels[-1].begin:
        yield levels[-1].begin, levels[-1].end


def _line(text: str) -> str:
    return " ".join(text.split())
