"""Every path that the application serves, and some that it does not."""

from django.urls import URLPattern, URLResolver, get_resolver

from todo_mcp.core.operations import REGISTRY

PATH_VALUES = {
    "conversation_id": "1",
    "object_id": "1",
    "uidb64": "MQ",
    "token": "x",
    "client_id": "x",
    "app_label": "tasks",
}


def patterns(resolver: URLResolver, prefix: str = "") -> list[str]:
    """Every path of the URL configuration, with values in place of its parameters."""
    paths = []
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            route = prefix + str(entry.pattern).lstrip("^").rstrip("$").removesuffix("\\Z")
            paths.append("/" + _with_values(route))
        else:
            paths += patterns(entry, prefix + str(entry.pattern).lstrip("^"))
    return paths


def _with_values(route: str) -> str:
    parts = []
    for part in route.split("/"):
        name = part.strip("<>").rpartition(":")[2] if part.startswith("<") else ""
        parts.append(PATH_VALUES.get(name, "1") if name else part.replace("(?P<app_label>auth|tasks)", "tasks"))
    return "/".join(parts)


def every_path() -> list[str]:
    paths = ["/mcp", "/healthz", "/readyz", "/metrics", "/static/todo_mcp/account.css", "/static/", "/static/nothing"]
    paths += ["/", "/nothing", "//", *(f"/api/tools/{tool}" for tool in [*REGISTRY, "nothing"])]
    return [*paths, *sorted(set(patterns(get_resolver())))]
