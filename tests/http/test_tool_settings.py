"""Tools, as they are set."""

import json
import sys
from pathlib import Path

import pytest

from agentcore.ids import TenantId
from agentcore.policy import Rule
from agentcore.prompts import GUARDRAIL
from agentcore_http import doctor, settings, wiring
from agentcore_http.settings import Settings, SettingsError

FILE = """
default_engine = "openai"
[tools]
mcp_config = "mcp.json"
approval = "auto"
approval_seconds = 60
[tools.rules]
"clock.now" = "auto"
"files.*" = "deny"
[tools.tenants.acme]
"clock.now" = "ask"
"x.*" = "deny"
[prompts]
guardrail = "Stay polite."
"""


def test_the_file_has_tables(tmp_path: Path) -> None:
    path = tmp_path / "agentcore.toml"
    path.write_text(FILE)
    loaded = settings.load({}, path)
    assert loaded.tools_mcp_config == tmp_path / "mcp.json"
    assert loaded.prompts_guardrail == "Stay polite."
    policy = wiring.policy(loaded)
    assert (policy.default, policy.approval_s) == (Rule.AUTO, 60.0)
    assert [policy.rule(name) for name in ("clock.now", "files.rm", "x.y")] == ["auto", "deny", "auto"]
    assert [policy.of(TenantId("acme")).rule(name) for name in ("clock.now", "files.rm", "x.y")] == [
        "ask",
        "deny",
        "deny",
    ]
    told = {"AGENTCORE_TOOLS_TENANTS": "acme/clock.*=auto, b/*=deny"}
    assert settings.load(told, path).tools_tenants == {"acme": {"clock.*": "auto"}, "b": {"*": "deny"}}
    over = settings.load({"AGENTCORE_TOOLS_RULES": "a.b=deny, c.*=auto", "AGENTCORE_TOOLS_APPROVAL": "ask"}, path)
    assert wiring.policy(over).rules == {"a.b": "deny", "c.*": "auto"}
    assert wiring.policy(over).default is Rule.ASK
    assert wiring.policy(Settings()).default is Rule.ASK


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[tools]\napproval = "maybe"', "tools.approval must be one of auto, ask, deny"),
        ('[tools.rules]\n"a.b" = 1', "tools.rules must be one of"),
        ('[tools.tenants.acme]\n"a.b" = 1', "tools.tenants must be one of"),
        ('[tools]\ntenants = "a.b=auto"', "tools.tenants must be tenant/tool=rule"),
        ("[tools]\nother = 1", "tools.other is not a setting"),
        ("tools = 1", "tools. is not a setting"),
        ("[other]\nx = 1", "other is not a setting"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "agentcore.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=said):
        settings.load({}, path)


@pytest.mark.anyio
async def test_a_missing_file_of_servers_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no file mcp\.json"):
        async with wiring.toolbox(Settings(tools_mcp_config=tmp_path / "mcp.json")):
            raise AssertionError


def test_T13_the_servers_guardrail_stays() -> None:
    from agentcore.caller import Caller
    from agentcore.ids import SessionId, TenantId
    from agentcore.prompts import PromptBuilder

    builder = PromptBuilder(guardrail="Stay polite.")
    caller = Caller(tenant_id=TenantId("t"), subject="s")
    text = builder.build(caller, SessionId("s"), instructions="Be rude.", oauth_token="")
    assert "Be rude." in text
    assert GUARDRAIL in text
    assert "Stay polite." in text


@pytest.mark.anyio
async def test_doctor_says_which_servers_are_missing(tmp_path: Path) -> None:
    server = str(Path(__file__).parent.parent / "support" / "mcp_server.py")
    path = tmp_path / "mcp.json"
    servers = {"tests": {"command": sys.executable, "args": [server]}, "gone": {"command": "/no/such"}}
    path.write_text(json.dumps({"mcpServers": servers}))
    said = [str(finding) async for finding in doctor.tools(Settings(tools_mcp_config=path))]
    assert "tools     ok       tests: 8 tools" in said
    assert "tools     missing  gone: Its command was not found." in said
