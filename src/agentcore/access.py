"""Who sees what, and who may do what to it.

Law: this is decided here and nowhere else, and each use case asks here before it does anything.  What a caller may not
see is missing: it raises what a missing one raises.  A role that is lacking is said before anything is read, so that it
tells nothing of what there is.  Another tenant's rows never come this far: the store has none.

    to look             the role viewer   sessions of one's own; an operator everybody's of the tenant
    to act              the role member   the same
    to decide a call    the role approver the same; under ``four_eyes`` not who asked for the task
    remote agents       one's own, whatever role one has
    numbers of a tenant the role operator
"""

from agentcore.caller import Caller, Role
from agentcore.errors import FourEyesRequired, InstanceNotFound, SessionNotFound, TaskNotFound
from agentcore.instances import Instance
from agentcore.ports import SessionView, TaskView
from agentcore.session import Session

OVERSEERS = frozenset({Role.OPERATOR, Role.ADMIN})


# ------------------------------------------------------------------------------------------- what one may do at all
def look(caller: Caller) -> None:
    """Raise RoleRequired unless the caller may look at its own."""
    caller.needs(Role.VIEWER)


def act(caller: Caller) -> None:
    """Raise RoleRequired unless the caller may act on its own."""
    caller.needs(Role.MEMBER)


def decide(caller: Caller) -> None:
    """Raise RoleRequired unless the caller may decide what waits for a person."""
    caller.needs(Role.APPROVER)


def oversee(caller: Caller) -> None:
    """Raise RoleRequired unless the caller may see what is the whole tenant's."""
    if not _is_overseer(caller):
        caller.needs(Role.OPERATOR)


def administer(caller: Caller) -> None:
    """Raise RoleRequired unless the caller may choose for the whole tenant, or for others in it."""
    caller.needs(Role.ADMIN)


# ------------------------------------------------------------------------------------------------ what there is for it
def seen(caller: Caller, view: SessionView) -> SessionView:
    """Return a session, or raise SessionNotFound if for this caller there is none."""
    seen_session(caller, view.session)
    return view


def seen_session(caller: Caller, session: Session) -> Session:
    """Return a session, or raise SessionNotFound if for this caller there is none."""
    if not _sees(caller, session.owner):
        raise SessionNotFound("There is no such session.")
    return session


def seen_task(caller: Caller, view: TaskView) -> TaskView:
    """Return a task, or raise TaskNotFound if for this caller there is none."""
    if not _sees(caller, view.owner):
        raise TaskNotFound("There is no such task.")
    return view


def own(caller: Caller, instance: Instance) -> Instance:
    """Return an instance, or raise InstanceNotFound: what lives at its bridge is one person's, and no operator's."""
    if instance.owner != caller.subject:
        raise InstanceNotFound("There is no such instance.")
    return instance


def listed(caller: Caller, owner: str | None, *, everybody: bool = False) -> str | None:
    """Return whose sessions a list shows, None: everybody's; *owner*: who was asked for, None: the caller.

    Raises RoleRequired if it is not the caller's to see.
    """
    if everybody or owner not in {None, caller.subject}:
        oversee(caller)
    return None if everybody else owner or caller.subject


def second_person(caller: Caller, view: TaskView, *, four_eyes: bool) -> None:
    """Raise FourEyesRequired if who asked for a task may not decide what it waits for."""
    if four_eyes and caller.subject == (view.task.params.requester or view.owner):
        raise FourEyesRequired("Somebody else must decide this: you asked for the task.")


def _is_overseer(caller: Caller) -> bool:
    return not OVERSEERS.isdisjoint(caller.roles)


def _sees(caller: Caller, owner: str) -> bool:
    return owner == caller.subject or _is_overseer(caller)
