"""What the server has set reaches the engines."""

from pathlib import Path

import pytest

from agentcore.ids import EngineName
from agentcore.policy import Policy, Rule
from agentcore_adapters.engines.catalog import EngineSettings, Equipment, open_catalog
from agentcore_adapters.engines.claude_code_cli import ClaudeCodeCli

pytestmark = pytest.mark.anyio


async def test_the_rules_of_tools_hold_for_claude_code(tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.touch(mode=0o700)
    settings = EngineSettings(data_dir=tmp_path, claude_bin=program, anthropic_base_url="http://127.0.0.1:9")
    rules = Policy(rules={"Read": Rule.AUTO, "Bash": Rule.DENY})
    async with open_catalog(settings, Equipment(policy=rules)) as catalog:
        engine = catalog.named(EngineName("claude_code_cli"))
        assert isinstance(engine, ClaudeCodeCli)
        assert [engine.policy.rule(name) for name in ("Read", "Bash", "Write")] == [Rule.AUTO, Rule.DENY, Rule.ASK]
