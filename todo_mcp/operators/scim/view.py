"""The door of SCIM 2.0 (RFC 7644): a company's identity provider creates, changes, deactivates and deletes users.

Few servers need it, and the library is large. So it is loaded with the first request that has the token.
"""

from secrets import compare_digest

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.telemetry.refused_tokens import record_refusal

PATH = "/scim/v2"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@csrf_exempt
def scim(request: HttpRequest) -> HttpResponse:
    """Every SCIM endpoint. Without the setting SCIM_TOKEN there is none."""
    if not settings.SCIM_TOKEN:
        raise Http404
    authorization = request.headers.get("Authorization", "").encode()
    if not compare_digest(authorization, f"Bearer {settings.SCIM_TOKEN}".encode()):
        record_refusal(Unauthenticated(TokenRule.SCIM_TOKEN if authorization else TokenRule.NO_CREDENTIALS))
        error = {"schemas": [ERROR], "status": "401", "detail": "Send the SCIM token as a bearer token."}
        headers = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
        return JsonResponse(error, status=401, content_type="application/scim+json", headers=headers)
    response: HttpResponse = import_string("todo_mcp.operators.scim.service.respond")(request)
    return response
