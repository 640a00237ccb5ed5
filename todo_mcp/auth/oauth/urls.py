"""URLs of the authorization server, its metadata and the account pages."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from todo_mcp.auth.account import pages
from todo_mcp.auth.oauth import views as oauth
from todo_mcp.auth.oauth.connected_apps import ConnectedAppsView
from todo_mcp.auth.oauth.errors import oauth_error, repeated
from todo_mcp.auth.oauth.introspection import IntrospectionView
from todo_mcp.auth.oauth.limits import limit_refusals


def refuse_repeated_parameters(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view: refuse repeated parameters (RFC 6749, section 3.2), except ``resource`` (RFC 8707)."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        for name, values in request.POST.lists():
            if len(values) > 1 and name != "resource":
                return oauth_error("invalid_request", repeated(name))
        return view(request, *args, **kwargs)

    return checked


# The library looks these names up to build its metadata, so they must stay.
protocol = [
    path("authorize", oauth.ConsentView.as_view(), name="authorize"),
    path("token", limit_refusals(refuse_repeated_parameters(oauth.TokenEndpoint.as_view())), name="token"),
    path("revoke", limit_refusals(refuse_repeated_parameters(oauth.RevocationEndpoint.as_view())), name="revoke-token"),
    path("introspect", limit_refusals(refuse_repeated_parameters(IntrospectionView.as_view())), name="introspect"),
    path("register", csrf_exempt(oauth.RegistrationView.as_view()), name="dcr-register"),
    path("register/<str:client_id>", csrf_exempt(View.as_view(http_method_names=[])), name="dcr-register-management"),
]
account = [
    path("sign-in", pages.SignInView.as_view(), name="sign_in"),
    path("sign-out", pages.SignOutView.as_view(), name="sign_out"),
    path("connections", ConnectedAppsView.as_view(), name="connections"),
    path("time-zone", pages.TimeZoneView.as_view(), name="time_zone"),
    path("password", pages.PasswordChangeView.as_view(), name="password"),
    path("password/reset", pages.PasswordResetView.as_view(), name="reset"),
    path("password/reset/sent", pages.ResetSentView.as_view(), name="reset_sent"),
    path("password/reset/<uidb64>/<token>", pages.NewPasswordView.as_view(), name="new_password"),
]
urlpatterns = [
    path("oauth/", include((protocol, "oauth2_provider"))),
    path("oauth/", include((account, "account"))),
    path(".well-known/oauth-authorization-server", csrf_exempt(oauth.ServerMetadataView.as_view())),
    path(".well-known/oauth-protected-resource", csrf_exempt(oauth.ResourceMetadataView.as_view())),
    path(".well-known/oauth-protected-resource/mcp", csrf_exempt(oauth.ResourceMetadataView.as_view())),
]
