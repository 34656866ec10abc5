"""Canonical JSON, arguments of calls, seals, problems."""

import hashlib
import json

import msgspec

from agentcore.approval import Approval
from agentcore.canonical import canonical
from agentcore.ids import InstanceId, SessionId, TaskId, TenantId
from agentcore.messages import clean_json
from agentcore.seal import Seal, is_signed, webhook_signature
from agentcore_adapters.engines.wanted import arguments_of, own_name, wire_name
from tests.fuzz.targets import Target, lines

SEAL = Seal(b"k" * 32)
SESSION, TASK = SessionId("0190c2d4-7a1e-7c3b-9f0a-5d2e8b6c1a34"), TaskId("0190c2d4-7a20-7d11-8a55-1c3f9e7b2d46")
SIGNATURE, TOKEN = SEAL.signature(TenantId("t"), SESSION, TASK), SEAL.oauth_token(TenantId("t"), SESSION)
VALUES = (
    b'{"b":1,"a":[1.5,-0.0,1e21,1e-7,true,null,"\\u20ac"]}',
    b'{"n":123456789012345678901234567890}',
    b'{"a":{"b":{"c":[[[]]]}}}',
    b'{"x":"\\ud83d\\ude00","":0}',
    b"{}",
)


def arguments(data: bytes) -> object:
    """Read the arguments of a call as a model wrote them: they are hashed, stored and shown."""
    found = arguments_of(data.decode(errors="replace"))
    if found is None:
        raise ValueError("no arguments")
    cleaned = clean_json(found)
    text = canonical(cleaned)
    assert canonical(msgspec.json.decode(text)) == text, "the form of a form is itself"
    assert canonical(json.loads(text)) == text
    hashlib.sha256(text.encode()).hexdigest()
    return Approval, json.dumps(cleaned).encode()


def seals(data: bytes) -> object:
    text = data.decode("latin-1")
    tenant = SEAL.signer(text, SESSION, TASK)
    assert tenant is None or text == SEAL.signature(tenant, SESSION, TASK), "forged"
    other = SEAL.consenter(text, SESSION)
    assert other is None or text == SEAL.oauth_token(other, SESSION), "forged"
    return tenant, other


def webhook(data: bytes) -> object:
    message_id, at, *rest = [line.decode("latin-1") for line in lines(data)] + ["", ""]
    key = SEAL.webhook_key(TenantId("t"), InstanceId(SESSION))
    is_good = is_signed(key, message_id, at, data, rest)
    assert is_good == (webhook_signature(key, message_id, at, data) in rest)
    return is_good


def names(data: bytes) -> object:
    name = data.decode(errors="replace")
    written = wire_name(name)
    assert 1 <= len(written) <= 64
    assert written.isascii()
    assert own_name(written) == name or written != name.replace(".", "__", 1)
    return written


TARGETS = [
    Target(name="arguments", run=arguments, allowed=(ValueError,), seeds=VALUES),
    Target(
        name="seals",
        run=seals,
        allowed=(),
        seeds=[SIGNATURE.encode(), TOKEN.encode(), b"v1..", b"v1.====.0", b"v1.\xff.0", b"..", b""],
    ),
    Target(name="webhook_signature", run=webhook, allowed=(), seeds=[b"msg_1\n1760000000\nv1,AAAA", b"\n\n\xff", b""]),
    Target(name="tool_names", run=names, allowed=(), seeds=[b"clock.now", b"a.b.c", b"x" * 70, "ü.ß".encode(), b""]),
]
