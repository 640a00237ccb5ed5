"""User ids are stored exactly as given, and refused if they cannot be sent, seen or distinguished."""

import pytest
from django.core.exceptions import ValidationError

from tests.support.tool_calls import CONTROLS, LONE_SURROGATES
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user, set_active

pytestmark = pytest.mark.django_db

# Pairs that Unicode calls compatible: composed and decomposed, full width, a ligature, a long s, a Roman numeral.
COMPATIBLE = [
    ("Jos\u00e9", "Jose\u0301"),
    ("alice", "\uff41\uff4c\uff49\uff43\uff45"),
    ("fin", "\ufb01n"),
    ("s", "\u017f"),
    ("IV", "\u2163"),
    ("alice", "Alice"),
]


@pytest.mark.parametrize(("one", "other"), COMPATIBLE, ids=ascii)
def test_ids_that_unicode_calls_compatible_are_different_users(one: str, other: str) -> None:
    for user_id in (one, other):
        assert create_user(user_id=user_id).pk == user_id
        issue_token(user_id=user_id)
    assert sorted(User.objects.values_list("pk", flat=True)) == sorted([one, other])
    set_active(user_id=other, active=False)
    assert User.objects.get(pk=one).is_active


def test_an_id_may_have_the_format_of_any_identity_provider() -> None:
    ids = (
        "auth0|5f7c8ec7",
        "alice@example.com",
        "00u1a2b3",
        "9" * 255,
        "🥛",
        "O'Brien; DROP TABLE users",
        "a b",
        "-",
        "../x",
    )
    for user_id in ids:
        assert create_user(user_id=user_id).pk == user_id


def test_an_id_that_cannot_be_seen_or_sent_is_refused() -> None:
    bad_ids = ["", " ", "me", " alice", "alice ", "\u00a0alice", "x" * 256, "a\u200bb", "a\u202eb", "a\u00adb"]
    characters = (*CONTROLS, "\t", "\n", "\x7f", *LONE_SURROGATES)
    for user_id in (*bad_ids, *[f"a{char}b" for char in characters]):
        with pytest.raises(ValidationError):
            create_user(user_id=user_id)
    assert not User.objects.exists()


def test_an_id_can_be_used_only_once(alice: User) -> None:
    with pytest.raises(ValidationError, match="already exists"):
        create_user(user_id="alice")


def test_a_user_without_password_cannot_sign_in() -> None:
    assert not create_user(user_id="alice").has_usable_password()
    assert create_user(user_id="bob", password="correct horse battery staple").has_usable_password()


def test_a_superuser_is_staff_too() -> None:
    assert create_user(user_id="root", is_superuser=True).is_staff
    assert not create_user(user_id="alice").is_staff


def test_an_unknown_user_cannot_be_deactivated() -> None:
    with pytest.raises(UserNotFound):
        set_active(user_id="no-one", active=False)
