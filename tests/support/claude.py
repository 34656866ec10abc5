"""Claude Code for tests: the real program, pointed at a stub."""

import importlib.util
from datetime import UTC, datetime
from pathlib import Path

import pytest
from attrs import evolve

from agentcore.approval import Approval, OnReject, input_hash
from agentcore.engine import EngineRequest
from agentcore.events import ApprovalRequired
from agentcore.task import Decision
from agentcore.testing.contracts.engine import a_request
from agentcore_adapters.engines.claude_agent_sdk import ClaudeAgentSdk
from agentcore_adapters.engines.claude_child import Program, find_binary
from agentcore_adapters.engines.claude_code_cli import ClaudeCodeCli
from agentcore_adapters.testing.provider import StubProvider

KEY = "sk-ant-canary-of-the-key"


def program_for(provider: StubProvider, folder: Path) -> Program:
    """Return the program, or skip with the reason why there is none."""
    binary = find_binary(None)
    if binary is None:
        pytest.skip("the program claude is not here: pip install 'agentcore[claude]'")
    return Program(binary=binary, folder=folder, api_key=KEY, base_url=provider.url)


def made(kind: type[ClaudeCodeCli], provider: StubProvider, folder: Path) -> ClaudeCodeCli:
    """Make an engine, or skip with the reason why there is none."""
    program = program_for(provider, folder)
    if kind is ClaudeAgentSdk and importlib.util.find_spec("claude_agent_sdk") is None:
        pytest.skip("the SDK is not here: pip install 'agentcore[claude]'")
    return kind(program)


def is_there(pid: int) -> bool:
    """Tell whether a process is there, and not just its exit status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def touching(name: str, more: str = "") -> EngineRequest:
    """Ask for a tool that leaves a file."""
    text = f'[[tool:Bash:{{"command":"touch {name}"}}]] [[say:.]] [[after:done]] {more}'
    return evolve(a_request(text), allowed_tools=("Bash",))


def decided(asked: ApprovalRequired, *, allow: bool = True) -> Approval:
    """Decide what was asked, as a person."""
    now = datetime.now(UTC)
    approval = Approval(
        id=asked.approval_id,
        task_id=a_request("x").task_id,
        tool_use_id=asked.tool_use_id,
        tool_name=asked.tool_name,
        input=asked.input,
        input_sha256=input_hash(asked.tool_name, asked.input),
        expires_at=asked.expires_at,
        created_at=now,
    )
    decision = Decision.APPROVED if allow else Decision.REJECTED
    return approval.decided(decision, now, by="me", reason="not today", on_reject=OnReject.CONTINUE)
