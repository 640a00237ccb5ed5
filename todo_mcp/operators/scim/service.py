"""The SCIM service: a library speaks the protocol, within what this server supports. It takes a second to load."""

from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    ETag,
    Filter,
    NotFoundException,
    Patch,
    ResourceType,
    SCIMException,
    ScimPolicy,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.service import ScimService

from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import UserNotFound
from todo_mcp.operators.scim.person import Person
from todo_mcp.operators.scim.storage import UserStorage
from todo_mcp.operators.scim.view import PATH

RESULTS_MAX = 200  # users in one answer
_CONFIG = ServiceProviderConfig(
    patch=Patch(supported=True),
    bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
    filter=Filter(supported=True, max_results=RESULTS_MAX),
    change_password=ChangePassword(supported=False),
    sort=Sort(supported=False),
    etag=ETag(supported=False),
    authentication_schemes=[
        AuthenticationScheme(
            type=AuthenticationScheme.Type.oauthbearertoken, name="Bearer token", description="The setting SCIM_TOKEN"
        )
    ],
)
_USERS = ResourceType(id="User", name="User", endpoint="/Users", schema_=Person.__schema__)
_POLICY = ScimPolicy(  # as large providers need it
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)


class Service(ScimService):
    """The library's service, for ids that need escapes in an address."""

    def resource_location(self, base_url: str, resource_type: ResourceType, resource_id: str) -> str:
        return super().resource_location(base_url, resource_type, quote(resource_id, safe="!$&'()*+,=:@"))


_handler = ScimHandler(Service(ScimProvider([Person], [_USERS], _CONFIG, _POLICY)), UserStorage())


def respond(request: HttpRequest) -> HttpResponse:
    """The answer to a SCIM request of the provider, whose token has been checked."""
    scim_request = ScimRequest(
        method=request.method or "",
        base_url=f"{settings.PUBLIC_URL}{PATH}",
        path=request.path_info.removeprefix(PATH),
        query={name: request.GET[name] for name in request.GET},
        headers=dict(request.headers),
        body=request.body,
    )
    try:
        answer = _handler.handle(scim_request)
    except SCIMException as error:
        answer = _handler.service.error_response(error)
    except UserNotFound:  # deleted meanwhile
        answer = _handler.service.error_response(NotFoundException())
    content = b"" if answer.body is None else to_json(answer.body)
    return HttpResponse(content, status=answer.status, headers={**answer.headers, "Cache-Control": "no-store"})
