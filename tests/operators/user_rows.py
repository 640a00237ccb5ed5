"""Users with rows in every table, and a search for an id in all tables of the database."""

from datetime import timedelta
from typing import Any

from axes.models import AccessAttempt, AccessAttemptExpiration, AccessFailureLog, AccessLog
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, DeviceGrant, Grant, IDToken, RefreshToken

from conversations.models import Conversation, Message
from conversations.schemas import MessageIn
from conversations.services import append_messages, create_conversation
from tasks.models import Task
from tasks.services import add_task, complete_task, delete_task
from todo_mcp.auth.models import ResetRequest, RevokedToken, Successor
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.history import history_context
from todo_mcp.quotas.models import UserUsage
from todo_mcp.statistics.models import RefusedCall, TokenDay
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import LogSubject, User

ITEM = '{"type":"function_call","arguments":"{\\"title\\":\\"☃\\"}","n":1.50,"big":123456789012345678901234567890}'
LATER = timezone.now() + timedelta(days=1)
# No row belongs to a user: tables of Django and its migrations, call counts, and rows that depend on another table.
UNOWNED_TABLES = {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
UNOWNED_TABLES |= {"call_statistics", "pghistory_context", "axes_accessattemptexpiration", "token_uses"}
UNOWNED_TABLES |= {"used_codes", "used_assertions"}  # hashes
UNOWNED_TABLES |= {"refresh_token_successors"}  # ids of refresh tokens
UNOWNED_TABLES |= {"rate_counts"}  # hashes of users' ids, for two minutes


def fill(user: User, operator: User) -> None:
    """Add a row of the user to every table that can hold one."""
    _add_tasks_and_messages(user)
    _add_usage(user)
    _add_sign_ins(user)
    _add_tokens(user)
    _add_what_stays_of_a_token(user, operator)
    for row in (user, Task.objects.filter(user=user)[0], AccessToken.objects.filter(user=user)[0]):
        _add_log_entry(operator, row, f"{user.pk}: {row.pk}")
    _add_log_entry(operator, Conversation.objects.filter(user=user)[0], "Conversation")
    _add_log_entry(user, operator, operator.pk)
    user.groups.add(Group.objects.get_or_create(name="staff")[0])
    user.user_permissions.add(Permission.objects.all()[0])


def _add_tasks_and_messages(user: User) -> None:
    with history_context(user=user.pk, tool="add_task"):
        for n in range(3):
            task_id = add_task(
                user_id=user.pk, title=f"Task of {user.pk}", idempotency_key=f"key-{user.pk}-{n}"
            ).task_id
        complete_task(user_id=user.pk, task_id=task_id)
        delete_task(user_id=user.pk, task_id=task_id)
    conversation_id = create_conversation(user_id=user.pk).id
    messages = [MessageIn(role="user", content=f"{user.pk} speaks")]
    message_id = append_messages(user_id=user.pk, conversation_id=conversation_id, messages=messages).messages[0].id
    names: dict[str, Any] = {"ref": f"of:{user.pk}", "title": f"Title of {user.pk}"}
    Conversation.objects.filter(pk=conversation_id).update(**names, metadata=f'{{"owner":"{user.pk}"}}')
    Message.objects.filter(pk=message_id).update(ref=f"by:{user.pk}", item=ITEM)
    everything: Any = {"due": "2026-11-27T09:00", "repeat": "every friday", "priority": "high", "tags": ["Home"]}
    everything |= {"checklist": ["Milk"], "time_zone": "Europe/Berlin"}
    add_task(user_id=user.pk, title="From a chat", conversation_id=conversation_id, message_id=message_id, **everything)


def _add_usage(user: User) -> None:
    UserUsage.objects.create(user=user, tasks=4, bytes=2000, writes=9, day=timezone.now().date())
    call = {"tool": "add_task", "outcome": "invalid_arguments", "transport": "mcp", "fields": ["due"]}
    RefusedCall.objects.create(user=user, at=timezone.now(), token_name=f"laptop of {user.pk}", **call)


def _add_sign_ins(user: User) -> None:
    session = SessionStore()
    session["_auth_user_id"] = user.pk
    session.save()
    user.last_login = timezone.now()
    user.email = f"{user.pk}@example.com"
    user.save(update_fields=["last_login", "email"])
    ResetRequest.objects.create(email=user.email)
    fields = {"username": user.pk, "ip_address": "127.0.0.1", "path_info": "/admin/login/"}
    attempt = AccessAttempt.objects.create(**fields, failures_since_start=1)
    AccessAttemptExpiration.objects.create(access_attempt=attempt, expires_at=LATER)
    AccessFailureLog.objects.create(**fields)
    AccessLog.objects.create(**fields)


def _add_tokens(user: User) -> None:
    issue_token(user_id=user.pk, name=f"laptop of {user.pk}")
    application = Application.objects.get(user=user)
    fields: dict[str, Any] = {"user": user, "application": application, "expires": LATER}
    token = AccessToken.objects.get(user=user)
    write_uses({token.pk: timezone.now()})
    Grant.objects.create(**fields, code=f"code-{user.pk}", redirect_uri="https://example.com/")
    owner = {"user": user, "application": application}
    used = RefreshToken.objects.create(**owner, access_token=token, token=f"refresh-{user.pk}")
    Successor.objects.create(
        refresh_token=RefreshToken.objects.create(**owner, token=f"refresh-{user.pk}-2"), predecessor=used
    )
    IDToken.objects.create(**fields)
    DeviceGrant.objects.create(
        user=user, device_code=f"d-{user.pk}", user_code=user.pk[:8], client_id=application.client_id, expires=LATER
    )


def _add_what_stays_of_a_token(user: User, operator: User) -> None:
    token = AccessToken.objects.select_related("application").get(user=user)
    columns = ("user_id", "application_id", "scope", "created", "expires")
    RevokedToken.objects.create(
        token_id=token.pk + 1000,
        token_checksum=f"checksum-{user.pk}",
        source="consent",
        revoked_by=RevokedToken.By.OPERATOR,
        operator=operator,
        **{name: getattr(token, name) for name in columns},
    )
    TokenDay.objects.create(
        token_id=token.pk, user=user, day=timezone.now().date(), client="curl", reads=1, writes=2, refused=3, failed=4
    )


def _add_log_entry(user: User, row: Any, name: str) -> None:
    kind = ContentType.objects.get_for_model(row)
    entry = LogEntry.objects.create(
        user=user, content_type=kind, object_id=str(row.pk), object_repr=name, action_flag=CHANGE, change_message=name
    )
    LogSubject.objects.create(entry=entry, user_id=getattr(row, "user_id", row.pk))


def tables() -> list[str]:
    with connection.cursor() as cursor:
        return [table.name for table in connection.introspection.get_table_list(cursor) if table.type == "t"]


def rows_with(text: str) -> dict[str, int]:
    """For each table, the number of rows that contain the text in any column. Sessions are decoded first."""
    row_counts = {}
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(f'SELECT count(*) FROM "{table}" AS row WHERE row::text LIKE %s', [f"%{text}%"])
            row_counts[table] = cursor.fetchone()[0]
        cursor.execute("SELECT session_data FROM django_session")
        sessions = [SessionStore().decode(data) for (data,) in cursor.fetchall()]
    row_counts["django_session"] = sum(session.get("_auth_user_id") == text for session in sessions)
    return {table: count for table, count in row_counts.items() if count}


def counts() -> dict[str, int]:
    with connection.cursor() as cursor:
        row_counts = {}
        for table in tables():
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            row_counts[table] = cursor.fetchone()[0]
    return row_counts
