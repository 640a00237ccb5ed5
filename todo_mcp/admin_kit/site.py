"""The admin's look: names, colours and the sidebar. The settings use it as UNFOLD."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

_NO_DIRECTION = dict.fromkeys([0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


def window_title(text: str) -> str:
    """A user's text for the title of a window, where HTML cannot isolate its direction. At most 80 characters."""
    return f"\u2068{text.translate(_NO_DIRECTION)[:80]}\u2069"  # UAX 9: first strong isolate … pop directional isolate


def may_view(model: str) -> Callable[[HttpRequest], bool]:
    """Build a check whether an operator may see the list of a model. ``model`` is written ``app.model``."""
    app, _, name = model.partition(".")
    return lambda request: any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))


def _item(title: str, icon: str, model: str, *, viewers_of: str = "") -> dict[str, Any]:
    """An entry of the sidebar. Whoever may view ``viewers_of``, by default the model itself, sees it."""
    link = reverse_lazy(f"admin:{model.replace('.', '_')}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": may_view(viewers_of or model)}


TOKENS = "oauth2_provider.accesstoken"

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "todo-mcp",
    "SITE_HEADER": "todo-mcp",
    "SITE_SYMBOL": "checklist",
    "SITE_URL": None,
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "todo_mcp.operators.dashboard.dashboard",
    "BORDER_RADIUS": "6px",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("todo_mcp/icon.svg")},
    ],
    "STYLES": [
        lambda request: static("todo_mcp/admin.css"),
        lambda request: static("todo_mcp/admin_people.css"),
        lambda request: static("todo_mcp/admin_activity.css"),
        lambda request: static("todo_mcp/admin_tokens.css"),
        lambda request: static("todo_mcp/admin_transcript.css"),
        lambda request: static("todo_mcp/admin_calls.css"),
    ],
    "COLORS": {
        "primary": {
            "50": "#eefdf6",
            "100": "#d6f9e8",
            "200": "#b0f1d3",
            "300": "#79e3b6",
            "400": "#3fcd94",
            "500": "#1ab27a",
            "600": "#0a7d56",
            "700": "#0a6b4c",
            "800": "#0c5a42",
            "900": "#0b4a38",
            "950": "#042a20",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": "Overview", "icon": "monitoring", "link": reverse_lazy("admin:index")},
                    _item("Activity", "history", "tasks.taskevent", viewers_of="tasks.task"),
                    _item("Tasks", "task_alt", "tasks.task"),
                    _item("Conversations", "forum", "conversations.conversation"),
                    _item("Calls", "bar_chart", "statistics.callstatistics"),
                ],
            },
            {
                "title": "Access",
                "separator": True,
                "items": [
                    _item("Users", "person", "users.user"),
                    _item("Groups", "group", "auth.group") | {"permission": lambda request: request.user.is_superuser},
                    _item("Tokens", "key", TOKENS),
                    _item("Revoked tokens", "key_off", "access.revokedtoken", viewers_of=TOKENS),
                    _item("OAuth clients", "apps", "oauth2_provider.application", viewers_of=TOKENS),
                    _item("Operators' log", "history_edu", "admin.logentry"),
                ],
            },
        ],
    },
}
