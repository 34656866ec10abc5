"""A server that cannot start says why in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AGENTCORE_USAGE_WEBHOOK": "http://127.0.0.1:9"}, "AGENTCORE_USAGE_WEBHOOK_SECRET"),
        ({"AGENTCORE_STT": "openai"}, "OPENAI_API_KEY"),
        ({"AGENTCORE_STT": "nobody"}, "AGENTCORE_STT must be openai or faster_whisper"),
        ({"AGENTCORE_TOOLS_MCP_CONFIG": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_is_missing_is_said_in_one_line(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTCORE_", "OPENAI_"))}
    command = [sys.executable, "-m", "agentcore_http", "serve", "--port", "0", "--store", "memory"]
    more = {"AGENTCORE_DATA_DIR": str(tmp_path), "ANTHROPIC_API_KEY": "k", **variables}
    ended = subprocess.run(
        command, check=False, env=environ | more, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode in {1, 2}
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
