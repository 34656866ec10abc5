"""What schemathesis is told of a guarded server: who asks, what is another's, and what no answer may hold.

Law: every answer is searched, with its headers, for the marks that were planted; where nobody is known, a guarded route
answers with the one refusal and nothing else.  What was seen is counted, so that an attack that reached nothing fails.
"""

import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

TOLD = "AGENTCORE_FUZZ_TOLD"  # names the file that says it
#: What is refused before anybody is asked who they are: by its type, its origin, or because no route has the method.
BEFORE = frozenset({403, 405, 415})
PLACES = ("session_id", "task_id")

told: dict[str, Any] = json.loads(Path(os.environ[TOLD]).read_text())
seen: Counter[str] = Counter()
calls = itertools.count()


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    """Name what is another's, half of the time."""
    found = dict(path_parameters or {})
    for name in PLACES:
        others = told["others"].get(name)
        if others and isinstance(found.get(name), str) and sum(found[name].encode(errors="replace")) % 2:
            found[name] = others[len(found[name]) % len(others)]
    return found


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Ask with each of the tokens in turn; None: with none at all."""
    if told["tokens"]:
        token = told["tokens"][next(calls) % len(told["tokens"])]
        headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        case.headers = headers if token is None else {**headers, "Authorization": token}


def is_guarded(case: Any) -> bool:
    """Whether this asks for a caller: an agent's token is a proof of its own, which is looked at in its place."""
    has_own = any(name.lower() == "x-oauth-token" for name in case.headers or {})
    return bool(case.operation.definition.raw["security"]) and not has_own


@schemathesis.check
def holds_nothing_of_others(ctx: Any, response: Any, case: Any) -> None:
    """Search the answer."""
    text = " ".join((response.content.decode(errors="replace"), *map(str, response.headers.items())))
    asked = f"{case.path_parameters} {case.body} {case.query}"  # what was asked for may be named in the refusal
    for mark in told["marks"]:
        if mark in text and not (mark in asked and response.status_code >= 400):
            raise AssertionError(f"the answer holds {mark!r}, which is another's or a secret")
    guarded = "" if is_guarded(case) else "open "
    seen[f"{guarded}{response.status_code}"] += 1
    Path(told["seen"]).write_text(json.dumps(seen))


@schemathesis.check
def is_refused_where_nobody_is_known(ctx: Any, response: Any, case: Any) -> None:
    """Compare the answer with the one refusal."""
    if told["refusal"] is None or not is_guarded(case) or response.status_code in BEFORE:
        return
    assert response.status_code == 401, "a guarded route has answered somebody who is not known"
    body = response.json()
    body.pop("instance")
    assert body == told["refusal"], "there is one refusal, whatever the reason"
    assert response.headers["www-authenticate"] == ["Bearer"], "and it says how to show who asks"
