"""Which names may be told.

Law: a name that a request or a model may have made up is somebody's text until it is known from elsewhere.
"""

from collections.abc import Iterable

OTHER = "other"


def known(name: str, names: Iterable[str]) -> str:
    """Return the longest of *names* that *name* begins with, as providers add a date to a model; else ``other``."""
    return max((one for one in names if name.startswith(one)), key=len, default=OTHER)
