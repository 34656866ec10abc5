"""``docs/how-to/authenticate.md``, word for word."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/authenticate.md"


@pytest.mark.slow
def test_the_page_on_tokens_can_be_followed_word_for_word(tmp_path: Path) -> None:
    make, exports, ask, *_ = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AGENTCORE_")}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "ANTHROPIC_API_KEY": "k"}
    subprocess.run(["sh", "-euc", make], cwd=tmp_path, env=environ, check=True, timeout=60)
    told = dict(line.removeprefix("export ").split("=", 1) for line in exports.splitlines() if "=" in line)
    command = [sys.executable, "-m", "agentcore_http", "serve", "--store", "memory", "--port", "0"]
    started = environ | told | {"AGENTCORE_DATA_DIR": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=tmp_path, env=started, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            curl = ask.splitlines()[0].replace("http://127.0.0.1:8000", shlex.quote(url))
            good = subprocess.check_output(["sh", "-euc", curl], cwd=tmp_path, env=environ, text=True)
            (tmp_path / "token").write_text("x")
            bad = subprocess.check_output(["sh", "-euc", curl], cwd=tmp_path, env=environ, text=True)
        finally:
            server.terminate()
    assert '"items":[]' in good
    assert '"unauthenticated"' in bad
