"""What operators see of a refused or failed call: who called what, and the names of the fields that were wrong."""

from django.utils import timezone

from todo_mcp.auth.principal import Principal
from todo_mcp.calls.call import Call
from todo_mcp.core.errors import InvalidArguments, TodoError
from todo_mcp.statistics.refused_calls import Refusal, refused_calls


def keep_refused(call: Call, principal: Principal | None, target: str | None, error: TodoError) -> None:
    """Keep the call in memory, without a value of the caller's. Nothing is kept if the caller is not known.

    Args:
        target: the user whom the call names. A service may name one who does not exist; then none is kept.
    """
    if principal is None:
        return
    named = target if principal.target_active is not None else None
    wrong = error.details["fields"] if isinstance(error, InvalidArguments) else ()
    refused_calls.add(
        Refusal(
            at=timezone.now(),
            user_id=principal.user_id or named,
            token_id=principal.token_id,
            token_name=principal.token_name,
            client=call.client,
            tool=call.operation.name,
            outcome=error.name,
            transport=call.transport,
            fields=tuple(dict.fromkeys(call.operation.known_field(name) for name in wrong)),
            request_id=call.request_id,
        )
    )
