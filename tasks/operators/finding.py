"""Find tasks of all users by their words, for operators."""

from django.db import connection

from tasks.models import Task
from tasks.search import NotAQuery, parse_query


def tasks_with_words(text: str, limit: int) -> tuple[list[Task], bool]:
    """The newest tasks, in any state, with all these words in what ``list_tasks`` searches; and whether there are more.

    The search is that of ``list_tasks``, with quotes and minus signs. Two queries.
    """
    try:
        query = parse_query(text)
    except NotAQuery:
        return [], False
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ids, stopped FROM tasks_found_anywhere(%s, %s, NULL, %s)", [query.terms, query.without, limit + 1]
        )
        ids, stopped = cursor.fetchone() or (None, False)
    found = Task.objects.filter(pk__in=(ids or [])[:limit]).order_by("-pk").defer("description", "checklist")
    return list(found), bool(stopped) or len(ids or []) > limit
