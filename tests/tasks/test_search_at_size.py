"""A search in many tasks: rare words by index, frequent words from the newest task on, and never more than a bound."""

import pytest
from django.db import connection

from tests.support.search import value
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

ROWS = """
    INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)
    SELECT %s, CASE WHEN n %% %s = 1 THEN 'rare bird' ELSE 'common bird' END, '', false,
        now() + n * interval '1 second', now() FROM generate_series(1, %s) n
"""


def test_rare_words_of_many_tasks_are_found_by_index(alice: User, bob: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, ["alice", 500, 4_000])
        cursor.execute(ROWS, ["bob", 500, 600])
        cursor.execute("SELECT cardinality(ids), stopped, reached_id FROM tasks_found('alice', '{rare,bi}')")
        assert cursor.fetchone() == (8, False, None)
        cursor.execute("SELECT cardinality(ids), stopped FROM tasks_found_anywhere('{rare,bi}')")
        assert cursor.fetchone() == (10, False)


def test_frequent_words_of_many_tasks_end_after_the_newest_matches_and_go_on(alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, ["alice", 500, 4_000])
        newest = value("SELECT array_agg(id ORDER BY created_at DESC) FROM tasks")
        sql = "SELECT * FROM tasks_found('alice', '{bird}', last_at => %s, last_id => %s)"
        cursor.execute(sql, [None, None])
        ids, stopped, reached_at, reached_id = cursor.fetchone()
        assert (ids, stopped, reached_id) == (newest[:1_001], True, newest[1_000])
        cursor.execute(sql, [reached_at, reached_id])
        ids, stopped, *_ = cursor.fetchone()
        assert (ids, stopped) == (newest[1_001:2_002], True)


def test_words_that_only_many_old_tasks_have_are_found_without_the_index(alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, ["alice", 10_000, 6_000])
        value("UPDATE tasks SET title = 'new fish' WHERE id > (SELECT max(id) - 600 FROM tasks) RETURNING id")
        cursor.execute(
            "SELECT ids[1] = (SELECT max(id) - 600 FROM tasks), stopped FROM tasks_found('alice', '{common}')"
        )
        assert cursor.fetchone() == (True, True)


def test_a_search_reads_at_most_20000_rows(alice: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute(ROWS, ["alice", 40, 20_100])
        cursor.execute("SELECT cardinality(ids), stopped FROM tasks_found('alice', '{rare}')")
        assert cursor.fetchone() == (500, True)
