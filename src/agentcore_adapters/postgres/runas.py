"""Running PostgreSQL, which refuses to run as root.

Law: not root: directly.  Root: in a user namespace, where files stay root's and no permission is changed; where
namespaces are forbidden, as the user ``nobody``, if that user can reach everything; else an error that says what to
do.  A data folder stays with the way that made it.
"""

import os
import pwd
import signal
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from attrs import frozen

from agentcore_adapters.orphans import die_with_parent
from agentcore_adapters.postgres.errors import EmbeddedServerError

UNSHARE = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


@frozen
class RunAs:
    """How to start a program of the server."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(  # noqa: S603 - the command is ours
            [*self.prefix, *command],
            env=environment(),
            cwd="/",
            user=self.user,
            group=self.group,
            extra_groups=[] if self.user is not None else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, command: Sequence[str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
        """Start a program that dies with this process.

        Call it from the main thread: the signal comes when the *thread* ends that has started the program.
        """
        return subprocess.Popen(  # noqa: S603 - the command is ours
            [*self.prefix, *command],
            env=environment(),
            cwd="/",
            user=self.user,
            group=self.group,
            extra_groups=[] if self.user is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that Ctrl-C at the terminal reaches its owner first
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - prctl has no other place; nothing forks here
        )

    def own(self, path: Path) -> None:
        """Keep a folder of ours private, and give it to the user that the server runs as."""
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {os.geteuid(), self.user}:
            raise EmbeddedServerError(f"{path} belongs to somebody else: move it away, or choose another data folder.")
        path.chmod(0o700)
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)


def choose(data: Path, program: str) -> RunAs:
    """Return how to run *program* on the folder *data*; raise EmbeddedServerError if there is no way.

    Who owns *data* remembers how it was made: what root made opens only in the namespace, the rest to its user.
    """
    if os.geteuid() != 0:
        return RunAs()
    made = data.stat() if data.exists() else None
    in_namespace = RunAs(prefix=UNSHARE)
    if (made is None or made.st_uid == 0) and _reaches(in_namespace, data.parent, program):
        return in_namespace
    nobody = pwd.getpwnam("nobody")
    as_user = RunAs(user=made.st_uid, group=made.st_gid) if made else RunAs(user=nobody.pw_uid, group=nobody.pw_gid)
    if as_user.user != 0 and _reaches(as_user, data.parent, program):
        return as_user
    raise EmbeddedServerError(
        "PostgreSQL does not run as root, user namespaces are forbidden here, and the user nobody cannot reach the "
        "data folder or PostgreSQL's programs. Run agentcore as another user, choose a data folder with --data-dir "
        "that everybody may enter, or set AGENTCORE_DATABASE_URL."
    )


def environment() -> Mapping[str, str]:
    """Return the little that the server's programs are given."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _reaches(run_as: RunAs, folder: Path, program: str) -> bool:
    try:  # a program may be there and still be refused what it is linked with: so it is run
        enters = run_as.run(["test", "-x", str(folder)]).returncode == 0
        return enters and run_as.run([program, "--version"]).returncode == 0
    except OSError:
        return False
