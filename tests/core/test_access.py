"""Who sees what, and who may do what: the rules alone."""

from collections.abc import Callable

import pytest
from attrs import evolve

from agentcore import access
from agentcore.caller import Caller, Role
from agentcore.errors import FourEyesRequired, InstanceNotFound, RoleRequired, SessionNotFound, TaskNotFound
from agentcore.ids import InstanceId
from agentcore.instances import Instance
from agentcore.ports import SessionView, TaskView
from agentcore.task import Task, TaskParams
from agentcore.testing.making import TENANT, a_prompt, a_session, now

ME = "me"
SESSION = SessionView(session=evolve(a_session(), owner=ME), activity=None)
PROMPT = a_prompt()
TASK = TaskView(
    task=Task(
        id=PROMPT.task_id,
        tenant_id=TENANT,
        session_id=SESSION.session.id,
        engine=PROMPT.engine,
        params=TaskParams(system_prompt=""),
        prompt=PROMPT.parts,
        deadline=now(),
        created_at=now(),
    ),
    owner=ME,
)
INSTANCE = Instance(
    id=InstanceId("i"), tenant_id=TENANT, owner=ME, name="", host=None, port=None, created_at=now(), updated_at=now()
)
LOWLY = frozenset({Role.VIEWER, Role.MEMBER, Role.APPROVER})


def a_caller(subject: str = ME, *roles: Role) -> Caller:
    return Caller(tenant_id=TENANT, subject=subject, roles=frozenset(roles))


def asked_by(requester: str | None) -> TaskView:
    return evolve(TASK, task=evolve(TASK.task, params=evolve(TASK.task.params, requester=requester)))


@pytest.mark.parametrize(
    ("rule", "lets_in", "are_not_enough"),
    [
        (access.look, {Role.VIEWER}, set()),
        (access.act, {Role.MEMBER}, {Role.VIEWER, Role.APPROVER}),
        (access.decide, {Role.APPROVER}, {Role.VIEWER, Role.MEMBER, Role.OPERATOR}),
        (access.oversee, {Role.OPERATOR, Role.ADMIN}, {Role.VIEWER, Role.MEMBER, Role.APPROVER}),
        (access.administer, {Role.ADMIN}, set(Role) - {Role.ADMIN}),
    ],
)
def test_a_rule_asks_for_one_role(
    rule: Callable[[Caller], None], lets_in: set[Role], are_not_enough: set[Role]
) -> None:
    for role in lets_in:
        rule(a_caller(ME, role))
    with pytest.raises(RoleRequired):
        rule(a_caller(ME, *are_not_enough))


def test_the_owner_and_whoever_oversees_see_a_session() -> None:
    for caller in (a_caller(ME), a_caller("other", Role.OPERATOR), a_caller("other", Role.ADMIN)):
        assert access.seen(caller, SESSION) is SESSION
        assert access.seen_task(caller, TASK) is TASK
    with pytest.raises(SessionNotFound):
        access.seen(a_caller("other", *LOWLY), SESSION)
    with pytest.raises(TaskNotFound):
        access.seen_task(a_caller("other", *LOWLY), TASK)


def test_an_instance_is_its_owners_whatever_roles_others_have() -> None:
    assert access.own(a_caller(ME), INSTANCE) is INSTANCE
    with pytest.raises(InstanceNotFound):
        access.own(a_caller("other", *Role), INSTANCE)


def test_a_list_shows_ones_own_unless_one_oversees() -> None:
    assert access.listed(a_caller(ME), None) == ME
    assert access.listed(a_caller(ME), ME) == ME
    for wanted, everybody in (("other", False), (None, True), (ME, True)):
        with pytest.raises(RoleRequired):
            access.listed(a_caller(ME, *LOWLY), wanted, everybody=everybody)
    boss = a_caller("boss", Role.OPERATOR)
    assert access.listed(boss, None) == "boss"
    assert access.listed(boss, ME) == ME
    assert access.listed(boss, None, everybody=True) is None
    assert access.listed(boss, ME, everybody=True) is None


def test_whoever_asked_is_no_second_person() -> None:
    access.second_person(a_caller(ME), asked_by(ME), four_eyes=False)
    for requester, decider, may in (
        (ME, ME, False),
        (ME, "other", True),
        ("other", ME, True),
        ("other", "other", False),
        (None, ME, False),
        (None, "other", True),
    ):
        if may:
            access.second_person(a_caller(decider), asked_by(requester), four_eyes=True)
        else:
            with pytest.raises(FourEyesRequired):
                access.second_person(a_caller(decider, *Role), asked_by(requester), four_eyes=True)
