"""A person's rights over all that is kept of them, across the apps: a copy, and to be forgotten."""

from collections.abc import Iterator
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from oauth2_provider.models import AccessToken

from conversations.retention import erase_conversations, export_conversations
from tasks.retention import erase_tasks, export_tasks, forget_operator
from todo_mcp.auth.account.reset_mail import reset_requests_of
from todo_mcp.core.errors import UserNotFound
from todo_mcp.statistics.token_use import last_used
from todo_mcp.users.models import User

# What proves who somebody is, and is of no use to them in a copy.
SECRETS = {"token", "token_checksum", "code", "code_challenge", "client_secret", "device_code", "user_code"}
SECRETS |= {"fingerprint", "session_hash", "password"}
# Exported in a form of their own; every other table that points at a user is exported as it is.
IN_OWN_FORM = {"tasks", "task_events", "conversations", "messages", "oauth2_provider_accesstoken"}


def export_user(*, user_id: str) -> dict[str, Any]:
    """Everything of a user, fit for JSON with Django's encoder; no secrets, of which only hashes are kept anyway.

    Raises:
        UserNotFound: there is no such user.
    """
    user = User.objects.filter(pk=user_id)
    if not user.exists():
        raise UserNotFound
    return {
        "user": _plain(user)[0],
        **export_tasks(user_id=user_id),
        "conversations": export_conversations(user_id=user_id),
        "tokens": _tokens(user_id),
        "sign_ins": [row for sign_ins in _sign_ins(user_id) for row in _plain(sign_ins)],
        "reset_requests": _plain(reset_requests_of(user[0])),
        "administration": _plain(_log_entries(user_id)),
        "records": {table: found for table, rows in _pointing_at(user_id) if (found := _plain(rows))},
    }


@transaction.atomic
def delete_user(*, user_id: str) -> dict[str, int]:
    """Erase a user and everything of theirs, history included: all of it or, if anything fails, nothing.

    Returns how many tasks and conversations went.

    Raises:
        UserNotFound: there is no such user.
    """
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound
    if user.is_staff or LogEntry.objects.filter(user_id=user_id).exists():
        forget_operator(user_id=user_id)
    for rows in (_log_entries(user_id), *_sign_ins(user_id), *_sessions(user), reset_requests_of(user)):
        rows.delete()
    erased = {"tasks": erase_tasks(user_id=user_id), "conversations": erase_conversations(user_id=user_id)}
    user.delete()  # and, by foreign key, tokens and what the user did in the admin
    return erased


def _tokens(user_id: str) -> list[dict[str, Any]]:
    """Expired ones too, until `purge` removes them."""
    rows = AccessToken.objects.filter(user_id=user_id).order_by("id")
    tokens = list(rows.values("id", "application__name", "scope", "resource", "created", "expires"))
    used = last_used(token["id"] for token in tokens)
    return [{"name": token.pop("application__name"), "last_used": used.get(token["id"]), **token} for token in tokens]


def _sign_ins(user_id: str) -> list[QuerySet[Any]]:
    """What django-axes keeps, under the name that was typed."""
    return [model.objects.filter(username=user_id) for model in (AccessAttempt, AccessFailureLog, AccessLog)]


def _log_entries(user_id: str) -> QuerySet[LogEntry]:
    """What the admin's log has about the user and what is theirs, whoever did it; the log points at nothing."""
    admin.autodiscover()  # until a page is opened, nothing is registered
    named = Q(content_type=_type(User), object_id=user_id)
    named |= Q(content_type=_type(AccessToken), object_repr__startswith=f"{user_id}: ")  # revoked ones too
    for _, rows in _pointing_at(user_id, also=IN_OWN_FORM):
        if admin.site.is_registered(rows.model):
            ids = rows.annotate(text=Cast("pk", TextField())).values("text")
            named |= Q(content_type=_type(rows.model), object_id__in=ids)
    return LogEntry.objects.filter(named)


def _sessions(user: User) -> Iterator[QuerySet[Session]]:
    """The user's sign-ins that have not ended; whose one is stands inside it."""
    for session in Session.objects.all() if user.last_login else ():
        if session.get_decoded().get("_auth_user_id") == user.pk:
            yield Session.objects.filter(pk=session.pk)


def _pointing_at(user_id: str, also: set[str] | frozenset[str] = frozenset()) -> Iterator[tuple[str, QuerySet[Any]]]:
    """The rows of each table that has a foreign key to the user."""
    for relation in User._meta.get_fields(include_hidden=True):
        model: type[Model] = relation.related_model  # type: ignore[assignment]
        if relation.concrete or not relation.auto_created:
            continue
        if model._meta.proxy or not model._meta.managed:  # no table of its own
            continue
        table = model._meta.db_table
        if table not in IN_OWN_FORM - also:
            yield table, model._base_manager.filter(**{relation.field.name: user_id})  # type: ignore[union-attr]


def _plain(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Rows as they are, without secrets."""
    fields = [field.attname for field in rows.model._meta.concrete_fields if field.name not in SECRETS]
    return list(rows.order_by("pk").values(*fields))


def _type(model: type[Model]) -> ContentType:
    return ContentType.objects.get_for_model(model)
