"""Tokens that are derived."""

import base64
import hashlib
import hmac

import pytest

from agentcore.ids import InstanceId, SessionId, TaskId, TenantId
from agentcore.seal import Seal, is_signed

SEAL = Seal(b"k" * 32)
TENANT, SESSION, TASK = TenantId("a"), SessionId("s"), TaskId("t")


def test_a_signature_names_the_tenant_whose_task_it_signs() -> None:
    for tenant in (TENANT, TenantId("a.b-c_d"), TenantId("\u00fc")):
        assert SEAL.signer(SEAL.signature(tenant, SESSION, TASK), SESSION, TASK) == tenant


@pytest.mark.parametrize(
    "text", ["", ".", "..", "v1..", "v1.YQ==.", "v1.YQ==.00", "v2", "v1.YQ.x", "\u00e9.\u00e9.\u00e9", "\ud800.."]
)
def test_what_is_no_signature_is_nobodys(text: str) -> None:
    assert SEAL.signer(text, SESSION, TASK) is None


def test_a_signature_is_of_one_task_under_one_key() -> None:
    signature = SEAL.signature(TENANT, SESSION, TASK)
    assert SEAL.signer(signature, SessionId("s2"), TASK) is None
    assert SEAL.signer(signature, SESSION, TaskId("t2")) is None
    assert SEAL.signer(signature, SessionId("st"), TaskId("")) is None
    assert Seal(b"x" * 32).signer(signature, SESSION, TASK) is None
    assert SEAL.signer(signature.replace("YQ==", "Yg=="), SESSION, TASK) is None


def test_SEC18_while_one_key_replaces_another_both_count() -> None:
    old, new = Seal(b"o" * 32), Seal(b"n" * 32)
    before, after = Seal(b"o" * 32, (b"n" * 32,)), Seal(b"n" * 32, (b"o" * 32,))  # all nodes know both, then they turn
    for maker, is_old in ((old, True), (new, False), (before, True), (after, False)):
        proofs = (maker.signature(TENANT, SESSION, TASK), maker.oauth_token(TENANT, SESSION), maker.ticket(b"{}"))
        for checker, counts in ((old, is_old), (new, not is_old), (before, True), (after, True)):
            signature, token, ticket = proofs
            assert checker.signer(signature, SESSION, TASK) == (TENANT if counts else None)
            assert checker.consenter(token, SESSION) == (TENANT if counts else None)
            assert checker.claims(ticket) == (b"{}" if counts else None)
            key = maker.webhook_key(TENANT, InstanceId("i"))
            assert (key in checker.webhook_keys(TENANT, InstanceId("i"))) is counts
    assert "o" * 32 not in repr(after)


def test_an_agents_token_is_of_its_session_and_for_nothing_else() -> None:
    token = SEAL.oauth_token(TENANT, SESSION)
    assert SEAL.consenter(token, SESSION) == TENANT
    assert SEAL.consenter(token, SessionId("s2")) is None
    assert SEAL.consenter(SEAL.signature(TENANT, SESSION, TaskId("")), SESSION) is None
    assert SEAL.signer(token, SESSION, TaskId("")) is None


def test_a_webhook_is_signed_over_id_time_and_body() -> None:
    key = SEAL.webhook_key(TENANT, InstanceId("i"))
    assert (len(key), key != SEAL.webhook_key(TENANT, InstanceId("j"))) == (32, True)
    mac = base64.b64encode(hmac.new(key, b"m.1.{}", hashlib.sha256).digest()).decode()
    assert is_signed(key, "m", "1", b"{}", ["v1,nope", f"v1,{mac}"])
    for given in ((key, "n", "1", b"{}"), (key, "m", "2", b"{}"), (key, "m", "1", b"{ }"), (b"x", "m", "1", b"{}")):
        assert not is_signed(*given, [f"v1,{mac}"])
    assert not is_signed(key, "m", "1", b"{}", [])
    assert not is_signed(key, "m", "1", b"{}", [mac, f"v2,{mac}", "v1,\u00e9"])


def test_a_ticket_carries_what_it_was_made_of_in_one_spelling() -> None:
    for claims in (b"", b"a", b"ab", b"abc", bytes(range(256))):
        ticket = SEAL.ticket(claims)
        assert set(ticket) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
        assert SEAL.claims(ticket) == claims
        version, body, mac = ticket.split(".")
        assert Seal(b"x" * 32).claims(ticket) is None
        for other in (f"v2.{body}.{mac}", f"{version}.{body}=.{mac}", f"{ticket}.", f"{version}.{body}.{mac.upper()}"):
            assert SEAL.claims(other) is None or other == ticket
    ticket = SEAL.ticket(b"a")
    assert SEAL.claims(ticket.replace("YQ", "YR")) is None  # decodes to the same byte
    for text in ("", ".", "..", "v1..", "\u00e9.a.b", "\ud800.."):
        assert SEAL.claims(text) is None
