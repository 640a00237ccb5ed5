"""Where the authorization server, its metadata and a person's account are."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.views import OAuthServerMetadataView

from todo_mcp.auth import oauth_views as oauth
from todo_mcp.auth import pages
from todo_mcp.auth.introspection import IntrospectionView


def without_nul(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The view, for parameters that PostgreSQL can look for."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        sent = (*request.GET.lists(), *request.POST.lists())
        if any("\0" in value for name, values in sent for value in (name, *values)):
            said = "A parameter holds a NUL character."
            return JsonResponse({"error": "invalid_request", "error_description": said}, status=400)
        return view(request, *args, **kwargs)

    return checked


# The names are those that the library looks up when it writes its metadata.
protocol = [
    path("authorize", without_nul(oauth.ConsentView.as_view()), name="authorize"),
    path("token", without_nul(oauth.TokenEndpoint.as_view()), name="token"),
    path("revoke", without_nul(oauth.RevocationEndpoint.as_view()), name="revoke-token"),
    path("introspect", without_nul(IntrospectionView.as_view()), name="introspect"),
    path("register", csrf_exempt(oauth.RegistrationView.as_view()), name="dcr-register"),
    path("register/<str:client_id>", oauth.RegistrationView.as_view(), name="dcr-register-management"),
]
account = [
    path("sign-in", pages.SignInView.as_view(), name="sign_in"),
    path("sign-out", pages.SignOutView.as_view(), name="sign_out"),
    path("connections", pages.ConnectionsView.as_view(), name="connections"),
    path("password", pages.PasswordChangeView.as_view(), name="password"),
    path("password/reset", pages.PasswordResetView.as_view(), name="reset"),
    path("password/reset/sent", pages.ResetSentView.as_view(), name="reset_sent"),
    path("password/reset/<uidb64>/<token>", pages.NewPasswordView.as_view(), name="new_password"),
]
urlpatterns = [
    path("oauth/", include((protocol, "oauth2_provider"))),
    path("oauth/", include((account, "account"))),
    path(".well-known/oauth-authorization-server", OAuthServerMetadataView.as_view()),
    path(".well-known/oauth-protected-resource", oauth.ResourceMetadataView.as_view()),
    path(".well-known/oauth-protected-resource/mcp", oauth.ResourceMetadataView.as_view()),
]
