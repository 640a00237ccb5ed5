"""Two users of whom there is something in every table, and where an id is found in the database."""

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

from conversations.models import Conversation
from conversations.schemas import MessageIn
from conversations.services import append_messages, create_conversation
from tasks.models import Task
from tasks.services import add_task, complete_task, delete_task
from todo_mcp.auth.models import ResetRequest
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.history import history_context
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User

LATER = timezone.now() + timedelta(days=1)
# Nobody's: what Django and the migrations keep, the counts of calls, and what hangs on a row of another table.
NOBODYS = {"django_migrations", "django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
NOBODYS |= {"call_statistics", "pghistory_context", "axes_accessattemptexpiration", "token_uses"}
NOBODYS |= {"used_codes"}  # hashes of codes


def fill(user: User, operator: User) -> None:
    """Make something of the user in every table that can hold it."""
    _use(user)
    _sign_in(user)
    _connect(user)
    for row in (user, Task.objects.filter(user=user)[0], AccessToken.objects.filter(user=user)[0]):
        _log(operator, row, f"{user.pk}: {row.pk}")
    _log(operator, Conversation.objects.filter(user=user)[0], "Conversation")
    _log(user, operator, operator.pk)
    user.groups.add(Group.objects.get_or_create(name="staff")[0])
    user.user_permissions.add(Permission.objects.all()[0])


def _use(user: User) -> None:
    with history_context(user=user.pk, tool="add_task"):
        for n in range(3):
            task = add_task(user_id=user.pk, title=f"Task of {user.pk}", idempotency_key=f"key-{user.pk}-{n}").task_id
        complete_task(user_id=user.pk, task_id=task)
        delete_task(user_id=user.pk, task_id=task)
    conversation = create_conversation(user_id=user.pk).id
    said = [MessageIn(role="user", content=f"{user.pk} speaks")]
    message = append_messages(user_id=user.pk, conversation_id=conversation, messages=said).messages[0].id
    add_task(user_id=user.pk, title="From a chat", conversation_id=conversation, message_id=message)


def _sign_in(user: User) -> None:
    session = SessionStore()
    session["_auth_user_id"] = user.pk
    session.save()
    user.last_login = timezone.now()
    user.email = f"{user.pk}@example.com"
    user.save()
    ResetRequest.objects.create(email=user.email)
    about = {"username": user.pk, "ip_address": "127.0.0.1", "path_info": "/admin/login/"}
    attempt = AccessAttempt.objects.create(**about, failures_since_start=1)
    AccessAttemptExpiration.objects.create(access_attempt=attempt, expires_at=LATER)
    AccessFailureLog.objects.create(**about)
    AccessLog.objects.create(**about)


def _connect(user: User) -> None:
    issue_token(user_id=user.pk, name=f"laptop of {user.pk}")
    application = Application.objects.get(user=user)
    given: dict[str, Any] = {"user": user, "application": application, "expires": LATER}
    issued = AccessToken.objects.get(user=user)
    write_uses({issued.pk: timezone.now()})
    Grant.objects.create(**given, code=f"code-{user.pk}", redirect_uri="https://example.com/")
    RefreshToken.objects.create(user=user, application=application, access_token=issued, token=f"refresh-{user.pk}")
    IDToken.objects.create(**given)
    DeviceGrant.objects.create(
        user=user, device_code=f"d-{user.pk}", user_code=user.pk[:8], client_id=application.client_id, expires=LATER
    )


def _log(who: User, row: Any, name: str) -> None:
    about = ContentType.objects.get_for_model(row)
    LogEntry.objects.create(
        user=who, content_type=about, object_id=str(row.pk), object_repr=name, action_flag=CHANGE, change_message=name
    )


def tables() -> list[str]:
    with connection.cursor() as cursor:
        return [table.name for table in connection.introspection.get_table_list(cursor) if table.type == "t"]


def rows_with(text: str) -> dict[str, int]:
    """In how many rows of each table the text stands, in whatever column; sessions are opened for it."""
    found = {}
    with connection.cursor() as cursor:
        for table in tables():
            cursor.execute(f'SELECT count(*) FROM "{table}" AS row WHERE row::text LIKE %s', [f"%{text}%"])
            found[table] = cursor.fetchone()[0]
        cursor.execute("SELECT session_data FROM django_session")
        opened = [SessionStore().decode(data) for (data,) in cursor.fetchall()]
    found["django_session"] = sum(session.get("_auth_user_id") == text for session in opened)
    return {table: count for table, count in found.items() if count}


def counts() -> dict[str, int]:
    with connection.cursor() as cursor:
        counted = {}
        for table in tables():
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            counted[table] = cursor.fetchone()[0]
    return counted
