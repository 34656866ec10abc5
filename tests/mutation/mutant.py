"""One guard that is taken away."""

from attrs import frozen


@frozen
class Look:
    """Tests that should notice."""

    paths: tuple[str, ...]
    only: str = ""  #: As pytest's -k.
    whole: bool = False  #: With the fixtures of the whole server, which take a second to import.


@frozen(kw_only=True)
class Mutant:
    """A change of one source, or of the schema."""

    where: str  #: The guard's home, without a line number, so that it stays when its file grows.
    what: str  #: What is changed there.
    looks: tuple[Look, ...]  #: Narrow ones first; the next is run if one has noticed nothing.
    module: str = ""  #: Of the source that is changed.
    source: str = ""  #: The whole of it, changed.
    statements: tuple[str, ...] = ()  #: What is done to a migrated database.

    @property
    def name(self) -> str:
        """How it is called in the table of results, and in ``redundant``."""
        return f"{self.where}: {self.what}"


@frozen
class Verdict:
    """What became of it."""

    mutant: str
    killer: str | None  #: The first test that turned red; None: it went unnoticed.
    seconds: float
