"""Who made a change of a task, in words: a person, a service that acts for a person, or an operator.

The context that the history records has ``service`` since it says whether the token is a service's. For an older
context, the token says it, or the record that a revoked one leaves.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from todo_mcp.admin_kit.base import isolated
from todo_mcp.auth.revocation import known_tokens

Context = Mapping[str, Any]


def author_in_words(context: Context | None, services: Collection[int] = ()) -> SafeString:
    """For example `bob`, `service chat, for bob`, or `operator dave`. Each name is isolated and escaped.

    Args:
        context: of a version of the task; None if it was changed outside the application.
        services: ids of tokens that are a service's, as ``tokens_of_services`` returns them.
    """
    if not context:
        return SafeString("unknown; changed outside the application")
    user = isolated(context["user"]) if context.get("user") else "an unknown user"
    if context.get("service") or context.get("token") in services:
        return format_html("service {}, for {}", isolated(context.get("token_name") or "without a name"), user)
    return format_html("operator {}" if _is_of_admin(context) else "{}", user)


def tokens_of_services(contexts: Iterable[Context | None]) -> frozenset[int]:
    """The tokens of these contexts that are a service's, if only the token says so. At most one query."""
    unknown = {
        context["token"] for context in contexts if context and context.get("token") and "service" not in context
    }
    return frozenset(pk for pk, is_of_service in known_tokens(unknown).items() if is_of_service)


def _is_of_admin(context: Context) -> bool:
    """A client may call itself "admin" too, but its calls have a transport."""
    return context.get("client") == "admin" and "transport" not in context
