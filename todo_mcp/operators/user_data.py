"""Export or erase all data of a user, across the apps."""

from collections.abc import Iterator
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import SET_NULL, Model, Q, QuerySet
from oauth2_provider.models import AccessToken

from conversations.models import Conversation, Message
from conversations.retention import erase_conversations, export_conversations, lock_conversations
from tasks.models import Task, TaskEvent
from tasks.retention import erase_tasks, export_tasks, forget_operator
from todo_mcp.auth.account.reset_mail import reset_requests_of
from todo_mcp.core.errors import UserNotFound
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User

# Fields that hold secrets or their hashes. They have no use in an export.
SECRETS = {"token", "token_checksum", "code", "code_challenge", "client_secret", "device_code", "user_code"}
SECRETS |= {"refresh_checksum", "fingerprint", "session_hash", "password"}
# Tables with their own export function. All other tables with a foreign key to the user are exported as they are.
EXPORTED_SEPARATELY = {"tasks", "task_events", "conversations", "messages", "oauth2_provider_accesstoken"}


def export_user(*, user_id: str) -> dict[str, Any]:
    """All data of a user, except secrets. The database has only hashes of those.

    Serialize the result with ``DjangoJSONEncoder``.

    Raises:
        UserNotFound: there is no such user.
    """
    user = User.objects.filter(pk=user_id)
    if not user.exists():
        raise UserNotFound(user_id)
    return {
        "user": _plain(user)[0],
        **export_tasks(user_id=user_id),
        "conversations": export_conversations(user_id=user_id),
        "tokens": _tokens(user_id),
        "sign_ins": [row for sign_ins in _sign_ins(user_id) for row in _plain(sign_ins)],
        "reset_requests": _plain(reset_requests_of(user[0])),
        "administration": _plain(_log_entries(user_id)),
        "records": {table: records for table, rows in _user_rows(user_id) if (records := _plain(rows))},
    }


@transaction.atomic
def delete_user(*, user_id: str) -> dict[str, int]:
    """Erase a user and all their data, history included, in one transaction.

    Returns how much of each kind was erased, as ``count_user`` does.

    Raises:
        UserNotFound: there is no such user.
    """
    lock_conversations(user_id=user_id)  # before the user, whose row the commit of an append needs
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound(user_id)
    erased = count_user(user_id=user_id)
    if user.is_staff or LogEntry.objects.filter(user_id=user_id).exists():
        forget_operator(user_id=user_id)
    for rows in (_log_entries(user_id), *_sign_ins(user_id), *_sessions(user), reset_requests_of(user)):
        rows.delete()
    erase_tasks(user_id=user_id)
    erase_conversations(user_id=user_id)
    user.delete()  # cascades to the tokens, and to the user's own actions in the admin log
    return erased


def count_user(*, user_id: str) -> dict[str, int]:
    """How much an erasure of this user removes, of each kind that a person knows. One query for each."""
    connected = AccessToken.objects.filter(user_id=user_id).exclude(application__user_id=user_id)
    rows: dict[str, QuerySet[Any]] = {
        "tasks": Task.objects.filter(user_id=user_id),
        "versions of tasks": TaskEvent.objects.filter(user_id=user_id),
        "conversations": Conversation.objects.filter(user_id=user_id),
        "messages": Message.objects.filter(user_id=user_id),
        "tokens": AccessToken.objects.filter(user_id=user_id),
        "connected apps": connected.order_by().values("application").distinct(),
        "entries of the operators' log about the user": _log_entries(user_id),
        "what the user did as an operator": LogEntry.objects.filter(user_id=user_id),
    }
    signed_in = sum(sign_ins.count() for sign_ins in _sign_ins(user_id))
    return {**{kind: found.count() for kind, found in rows.items()}, "records of sign-ins": signed_in}


def _tokens(user_id: str) -> list[dict[str, Any]]:
    """The user's tokens, oldest first. Expired ones are included until `purge` removes them."""
    rows = AccessToken.objects.filter(user_id=user_id).order_by("id")
    tokens = list(rows.values("id", "application__name", "scope", "resource", "created", "expires"))
    use_times = last_used(token["id"] for token in tokens)
    return [
        {"name": token.pop("application__name"), "last_used": use_times.get(token["id"]), **token} for token in tokens
    ]


def _sign_ins(user_id: str) -> list[QuerySet[Any]]:
    """The records of django-axes, which are stored under the typed user name."""
    return [model.objects.filter(username=user_id) for model in (AccessAttempt, AccessFailureLog, AccessLog)]


def _log_entries(user_id: str) -> QuerySet[LogEntry]:
    """Log entries of any operator about the user or the user's rows."""
    about_user = Q(content_type__app_label="users", content_type__model="user", object_id=user_id)  # of an old worker
    return LogEntry.objects.filter(about_user | Q(subject__user_id=user_id))


def _sessions(user: User) -> Iterator[QuerySet[Session]]:
    """The user's open sessions. The owner is stored in the session data, so each session is decoded."""
    for session in Session.objects.all() if user.last_login else ():
        if session.get_decoded().get("_auth_user_id") == user.pk:
            yield Session.objects.filter(pk=session.pk)


def _user_rows(user_id: str) -> Iterator[tuple[str, QuerySet[Any]]]:
    """The user's rows in each table that has a foreign key to users, except those in EXPORTED_SEPARATELY."""
    for relation in User._meta.get_fields(include_hidden=True):
        model: type[Model] = relation.related_model  # type: ignore[assignment]
        if relation.concrete or not relation.auto_created:
            continue
        if model._meta.proxy or not model._meta.managed:  # it has no table of its own
            continue
        table = model._meta.db_table
        if getattr(relation, "on_delete", None) is SET_NULL:
            continue  # its rows only name the user
        if table not in EXPORTED_SEPARATELY:
            yield table, model._base_manager.filter(**{relation.field.name: user_id})  # type: ignore[union-attr]


def _plain(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """The rows as dictionaries, without secret fields."""
    fields = [field.attname for field in rows.model._meta.concrete_fields if field.name not in SECRETS]
    return list(rows.order_by("pk").values(*fields))
