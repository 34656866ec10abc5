"""Types of the wire's words, as the documents show them.

Law: a type here changes what is documented and never what is accepted: what a Struct cannot check (a text that can be
stored, a time) is checked by hand and described here.
"""

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

#: Free of U+0000; half a surrogate pair is refused too, but no pattern can say so.
STORABLE = "^[^\\u0000]*$"
#: The same, and not blank.
SAID = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"
#: An id of ours.
UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
#: A place in a session's log; opaque to clients.
CURSOR = "^[0-9]{1,18}(\\.[0-9]{1,9})?$"


def described(**schema: object) -> Meta:
    """Say more of a type than is checked by it."""
    return Meta(extra_json_schema=dict(schema))


def one_of(kind: type[StrEnum]) -> Meta:
    """Say that only the values of *kind* are answered."""
    return described(enum=[value.value for value in kind])


Id = Annotated[str, described(format="uuid")]
Time = Annotated[str, described(format="date-time")]
Place = Annotated[str, described(pattern=CURSOR)]
Sha256 = Annotated[str, described(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, described(minimum=0)]
Object = dict[str, Any]
