"""The server's process."""

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from attrs import define

from agentcore_adapters.postgres.binaries import Binaries

SOCKET_PATH_BYTES = 100  # PostgreSQL refuses more than 107, with the socket's own name
STOP_S = 15.0
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "60",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "autovacuum_naptime": "10s",  # plans made for tables that were empty are made anew so soon, and not after a minute
    "timezone": "UTC",
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_statement": "none",
    "log_min_error_statement": "panic",  # a failed statement's text may hold what a person said
    "log_error_verbosity": "terse",  # and so may the detail of an error, which shows the row
}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@define(eq=False)
class Postmaster:
    """A server that was started here."""

    child: "subprocess.Popen[bytes]"
    sockets: Path

    def stop(self) -> None:
        """Ask for a fast shutdown; after a while, for an immediate one, which loses nothing either."""
        for how, patience_s in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, STOP_S), (signal.SIGKILL, STOP_S)):
            if self.child.poll() is None:
                self.child.send_signal(how)
            try:
                self.child.wait(patience_s)
            except subprocess.TimeoutExpired:
                continue
            return


def start_command(binaries: Binaries, data: Path, sockets: Path, durable: bool) -> list[str]:  # noqa: FBT001
    """Return the command that runs the server of *data* in the foreground."""
    settings = SETTINGS if durable else SETTINGS | THROW_AWAY
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [binaries.path("postgres"), "-D", str(data), "-k", str(sockets), "-p", "5432", *options]


def socket_folder(data: Path) -> Path:
    """Return a private folder for the socket: beside the data, or elsewhere if that path is too long."""
    beside = data.parent / "run"
    if len(os.fsencode(beside)) + len("/.s.PGSQL.5432") <= SOCKET_PATH_BYTES:
        beside.mkdir(mode=0o700, exist_ok=True)
        return beside
    return Path(tempfile.mkdtemp(prefix="agentcore-", dir=os.environ.get("XDG_RUNTIME_DIR")))
