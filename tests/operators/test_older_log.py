"""Entries of the operators' log from releases that did not store whom they are about."""

from importlib import import_module
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from oauth2_provider.models import AccessToken

from tests.support.factories import MessageFactory, TaskFactory
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import LogSubject, User

pytestmark = pytest.mark.django_db


def add_entry(operator: User, row: Any, key: object, name: str) -> int:
    kind = ContentType.objects.get_for_model(row)
    entry = LogEntry(user=operator, content_type=kind, object_id=str(key), object_repr=name, action_flag=CHANGE)
    entry.save()
    return entry.pk


def test_the_migration_finds_the_user_of_each_older_entry_that_can_be_known(operator: User, alice: User) -> None:
    conversation = MessageFactory.create(conversation__user=alice).conversation
    task = TaskFactory.create(user=alice)
    issue_token(user_id="alice")
    token = AccessToken.objects.get()
    known = {
        add_entry(operator, alice, "alice", "user alice"),
        add_entry(operator, task, task.pk, f"task {task.pk}"),
        add_entry(operator, conversation, conversation.pk, "conversation"),
        add_entry(operator, token, token.pk, f"token {token.pk}"),
        add_entry(operator, token, 10**6, "alice: phone"),  # revoked; its user is in the name
    }
    add_entry(operator, task, 10**6, "task 1000000")  # purged
    add_entry(operator, alice, "nobody", "user nobody")
    with connection.cursor() as cursor:
        cursor.execute(import_module("todo_mcp.users.migrations.0006_operators_log")._FILL)
    assert dict(LogSubject.objects.values_list("entry_id", "user_id")) == dict.fromkeys(known, "alice")
