"""Demo data for the page of calls: a week of call statistics, and a line for each call that was refused or failed.

Today one client sends wrong due dates, so that its errors rise.
"""

import random
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from oauth2_provider.models import AccessToken

from todo_mcp.operators.demo_texts import CALLS, CLIENTS, USERS, WRONG_FIELDS
from todo_mcp.statistics.models import CallStatistics, RefusedCall
from todo_mcp.statistics.spans import HOUR, start_of_day

DAYS = 7
WORSE = ("ChatGPT", "add_task", "invalid_arguments", ["tasks.due"])  # client, tool, outcome, wrong fields
WORSE_TIMES = 8  # as many as on other days


def add_demo_calls(rng: random.Random, now: datetime) -> None:
    """Add the statistics and the lines. There are more calls by day than at night."""
    counts = list(_counts(rng, now))
    CallStatistics.objects.bulk_create(counts)
    token_ids = dict(AccessToken.objects.filter(user__in=USERS).values_list("user_id", "pk"))
    errors = [row for row in counts if row.outcome != "success"]
    lines = [_line(rng, now, row, token_ids) for row in errors for _ in range(row.calls)]
    RefusedCall.objects.bulk_create(sorted(lines, key=lambda line: line.at))


def _counts(rng: random.Random, now: datetime) -> Iterator[CallStatistics]:
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    for hour in (this_hour - n * HOUR for n in range(24 * DAYS)):
        load = 1.0 if 7 <= hour.hour < 21 else 0.1
        for tool, (frequency, milliseconds, outcomes) in CALLS.items():
            for client in CLIENTS:
                calls = round(frequency * load * rng.random())
                others = {
                    outcome: sum(rng.random() < share * _worse(now, hour, client, tool, outcome) for _ in range(calls))
                    for outcome, share in outcomes.items()
                }
                for outcome, count in {"success": calls - sum(others.values()), **others}.items():
                    if count > 0:
                        yield _count(rng, hour, tool, outcome, client, count, milliseconds)


def _worse(now: datetime, hour: datetime, client: str, tool: str, outcome: str) -> int:
    return WORSE_TIMES if hour >= start_of_day(now) and (client, tool, outcome) == WORSE[:3] else 1


def _count(
    rng: random.Random, hour: datetime, tool: str, outcome: str, client: str, calls: int, milliseconds: float
) -> CallStatistics:
    return CallStatistics(
        hour=hour,
        tool=tool,
        outcome=outcome,
        client=client,
        revision="2026-07-28",
        transport="mcp",
        calls=calls,
        milliseconds_total=calls * milliseconds * (0.8 + 0.4 * rng.random()),
        milliseconds_max=milliseconds * (1 + rng.expovariate(0.3)),
        slowest_request_id=_request_id(rng),
    )


def _line(rng: random.Random, now: datetime, row: CallStatistics, token_ids: dict[str, int]) -> RefusedCall:
    is_worse = row.hour >= start_of_day(now) and (row.client, row.tool, row.outcome) == WORSE[:3]
    user_id = rng.choice(sorted(USERS)[:2] if is_worse else sorted(USERS))
    fields = WORSE[3] if is_worse else rng.choice(WRONG_FIELDS[row.tool]) if row.outcome == "invalid_arguments" else []
    return RefusedCall(
        at=row.hour + (min(now, row.hour + HOUR) - row.hour) * rng.random(),
        user_id=user_id,
        token_id=token_ids.get(user_id),
        token_name="laptop",  # noqa: S106 (a name)
        client=row.client,
        tool=row.tool,
        outcome=row.outcome,
        transport=row.transport,
        fields=fields,
        request_id=_request_id(rng),
    )


def _request_id(rng: random.Random) -> str:
    return UUID(int=rng.getrandbits(128), version=4).hex
