"""The list of tokens and the page of a token: states, filters, what it did, and revoking it."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, set_token_value
from pytest_django import DjangoAssertNumQueries

from tests.operators.tokens.conftest import connect
from tests.support.operators import LISTS, act, sign_in, staff_with
from todo_mcp.auth.models import RevokedToken, UsedAssertion
from todo_mcp.auth.revocation import by_operator
from todo_mcp.auth.tokens import NEVER, issue_token, revoke_token
from todo_mcp.statistics.models import TokenDay
from todo_mcp.statistics.token_days import TokenDays, write_days
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

REVOKED = "/admin/access/revokedtoken/"


def page_of(client: Client, token_id: int, query: str = "") -> str:
    response = client.get(f"{LISTS['tokens']}{token_id}/change/{query}")
    assert response.status_code == 200
    return response.content.decode()


def use(token: AccessToken, *clients: str) -> None:
    days = TokenDays()
    for client in clients:
        days.count(token.pk, token.user_id, client, None, read_only=False)
    write_days(days.take())


def test_the_page_says_what_the_token_did_and_links_to_its_changes(client: Client, token: AccessToken) -> None:
    use(token, "curl", "<script>x")
    page = page_of(client, token.pk)
    today = timezone.now().date()
    day = f"from={today}T00%3A00&amp;to={today + timedelta(days=1)}T00%3A00"
    assert "curl" in page and "&lt;script&gt;x" in page and "<script>x" not in page
    assert page.count(f"/admin/tasks/taskevent/?token={token.pk}&amp;{day}") == 2  # of its whole life, and of the day


def test_many_rows_are_shown_on_request(client: Client, token: AccessToken) -> None:
    for _ in range(4):
        use(token, *(f"client-{number}" for number in range(20)))
        for row in TokenDay.objects.order_by("day"):
            row.day -= timedelta(days=1)
            row.save()
    assert page_of(client, token.pk).count("client-19</bdi>") == 3 and "?all=yes" in page_of(client, token.pk)
    whole = page_of(client, token.pk, "?all=yes")
    assert whole.count("client-19</bdi>") == 4 and "?all=yes" not in whole


def test_revoking_asks_why_and_leaves_the_page_with_a_record(client: Client, token: AccessToken) -> None:
    use(token, "curl")
    question = act(client, "tokens", "revoke_token", token.pk, from_row="yes")["Location"]
    assert 'name="reason"' in client.get(question).content.decode() and AccessToken.objects.exists()
    response = client.post(question, {"reason": " It leaked. "})
    assert response["Location"] == f"{LISTS['tokens']}{token.pk}/change/"
    page = page_of(client, token.pk)
    for text in ("phone", "revoked", "It leaked.", f"{LISTS['users']}operator/change/", "curl", "an operator"):
        assert text in page
    assert "revoke_token" not in page and "revoke_all_tokens" in page
    assert LogEntry.objects.get(subject__user_id="alice").object_repr == f"token {token.pk}"


def test_a_token_that_has_ended_cannot_be_revoked(client: Client, token: AccessToken) -> None:
    AccessToken.objects.update(expires=timezone.now())
    act(client, "tokens", "revoke_token", token.pk, confirmed=True)
    assert AccessToken.objects.exists() and not RevokedToken.objects.exists()
    assert "revoke_token" not in page_of(client, token.pk)


def test_all_tokens_of_the_user_are_revoked_from_the_page_of_one(client: Client, token: AccessToken) -> None:
    issue_token(user_id="alice", name="laptop")
    issue_token(service="chat")
    url = f"{LISTS['tokens']}{token.pk}/change/"
    response = act(client, "users", "revoke_all_tokens", "alice", confirmed=True, next=url, reason="leaked")
    assert response["Location"] == url
    assert [row.user_id for row in AccessToken.objects.all()] == [None]
    assert list(RevokedToken.objects.values_list("reason", "operator")) == [("leaked", "operator")] * 2
    assert (LogEntry.objects.get().object_id, LogEntry.objects.get().change_message) == ("alice", "Revoked all tokens")


def test_an_operator_may_revoke_all_tokens_of_any_user_also_his_own(token: AccessToken) -> None:
    client = staff_with("view_user", "view_accesstoken", "delete_accesstoken")
    for user_id in ("dave", "alice"):
        issue_token(user_id=user_id)
        assert "Revoke all tokens" in client.get(f"{LISTS['users']}{user_id}/change/").content.decode()
        act(client, "users", "revoke_all_tokens", user_id, confirmed=True)
    assert not AccessToken.objects.exists()


def test_without_the_permission_nothing_is_revoked(token: AccessToken) -> None:
    client = staff_with("view_user", "view_accesstoken", "change_user")
    page = page_of(client, token.pk)
    assert "revoke_token" not in page and "revoke_all_tokens" not in page
    act(client, "users", "revoke_all_tokens", "alice", confirmed=True)
    act(client, "tokens", "revoke_token", token.pk, confirmed=True)
    assert AccessToken.objects.exists()


def test_who_may_not_see_tasks_gets_no_link_to_changes(token: AccessToken) -> None:
    use(token, "curl")
    page = page_of(staff_with("view_accesstoken"), token.pk)
    assert "taskevent" not in page and "curl" in page


def test_nobody_else_sees_a_token_or_a_revoked_one(token: AccessToken, operator: User) -> None:
    url = f"{LISTS['tokens']}{token.pk}/change/"
    revoke_token(token_id=token.pk, cause=by_operator("operator"))
    for address in (url, REVOKED):
        assert Client().get(address).status_code == 302
    others = staff_with("view_task", "view_user")
    assert others.get(url).status_code in (302, 403) and others.get(REVOKED).status_code == 403
    assert staff_with_tokens().get(REVOKED).status_code == 200


def staff_with_tokens() -> Client:
    User.objects.get(pk="dave").delete()
    return staff_with("view_accesstoken")


def test_the_filter_valid_finds_no_token_of_a_deactivated_user(client: Client, token: AccessToken, bob: User) -> None:
    issue_token(user_id="bob", name="of bob")
    issue_token(service="chat")
    User.objects.filter(pk="alice").update(is_active=False)
    names = {
        state: {
            name
            for name in ("phone", "of bob", "chat")
            if f">{name}</bdi>" in client.get(f"{LISTS['tokens']}?state={state}").content.decode()
        }
        for state in ("valid", "deactivated", "expired")
    }
    assert names == {"valid": {"of bob", "chat"}, "deactivated": {"phone"}, "expired": set()}
    assert "user deactivated" in page_of(client, token.pk)


def test_an_expired_token_that_its_client_can_renew_says_so(
    client: Client, assistant: Application, alice: User
) -> None:
    token = connect(assistant, alice)
    AccessToken.objects.update(expires=timezone.now())
    assert "can be renewed" in page_of(client, token.pk)
    for state, is_found in (("renewable", True), ("valid", False), ("expired", True)):
        page = client.get(f"{LISTS['tokens']}?state={state}").content.decode()
        assert ("Assistant</bdi>" in page) == is_found


@pytest.mark.parametrize("name", ["Assistant", "{pk}"])
def test_tokens_and_revoked_tokens_are_filtered_by_client(
    client: Client, token: AccessToken, assistant: Application, alice: User, bob: User, name: str
) -> None:
    revoke_token(token_id=connect(assistant, bob).pk, cause=by_operator("operator"))
    revoke_token(token_id=AccessToken.objects.get(pk=token.pk).pk, cause=by_operator("operator"))
    issue_token(user_id="bob", name="other")
    connect(assistant, alice)
    for address in (LISTS["tokens"], REVOKED):
        page = client.get(address, {"client": name.format(pk=assistant.pk)}).content.decode()
        assert "Assistant</bdi>" in page and "phone</bdi>" not in page and "other</bdi>" not in page


def test_the_state_revoked_leads_to_the_list_of_revoked_tokens_with_the_filters(
    client: Client, token: AccessToken, bob: User
) -> None:
    issue_token(user_id="bob", name="of bob")
    for row in AccessToken.objects.all():
        revoke_token(token_id=row.pk, cause=by_operator("operator", "because"))
    response = client.get(f"{LISTS['tokens']}?state=revoked&user=alice")
    assert response["Location"] == f"{REVOKED}?user=alice"
    page = client.get(response["Location"]).content.decode()
    assert f"{LISTS['tokens']}{token.pk}/change/" in page and "because" in page and "of bob" not in page
    assert f"{REVOKED}?user=alice" in client.get(f"{LISTS['users']}alice/change/").content.decode()
    assert client.get(f"{REVOKED}{token.pk}/change/")["Location"] == f"{LISTS['tokens']}{token.pk}/change/"


def test_the_pages_make_few_queries(
    client: Client, token: AccessToken, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    use(token, *(f"client-{number}" for number in range(10)))
    for _ in range(9):
        issue_token(user_id="alice")
    revoked = list(AccessToken.objects.exclude(pk=token.pk).values_list("pk", flat=True))
    for token_id in revoked:
        revoke_token(token_id=token_id, cause=by_operator("operator"))
    pages = {
        f"{LISTS['tokens']}{token.pk}/change/": 5,  # session, operator, token, its last use, what it did
        f"{LISTS['tokens']}{revoked[0]}/change/": 5,  # session, operator, no token, its record, what it did
        REVOKED: 4,  # session, operator, bounded count, rows
    }
    for url, queries in pages.items():
        client.get(url)
        with django_assert_num_queries(queries):
            assert client.get(url).status_code == 200


def test_a_service_token_acts_for_any_user(client: Client) -> None:
    issue_token(service="chat")
    page = page_of(client, AccessToken.objects.get().pk)
    assert "any user" in page and "revoke_all_tokens" not in page
    assert "any user" in client.get(LISTS["tokens"]).content.decode()


def test_an_erased_operator_is_named_no_more(client: Client, token: AccessToken) -> None:
    other = User.objects.create_superuser("other")
    act(sign_in(other), "tokens", "revoke_token", token.pk, confirmed=True)
    assert ">other<" in page_of(client, token.pk)
    other.delete()
    assert ">other<" not in page_of(client, token.pk) and "an operator" in page_of(client, token.pk)


def test_the_list_of_tokens_says_who_granted_each(client: Client) -> None:
    owner = User.objects.get(pk="operator")
    issue_token(user_id=owner.pk, name="laptop")
    registered = Application.objects.create(name="Assistant", registration_source=Application.RegistrationSource.DCR)
    for token in ("consented", "asserted"):
        record = AccessToken(user=owner, application=registered, scope="tasks:read", expires=NEVER)
        set_token_value(record, token)
        record.save()
    UsedAssertion.objects.create(
        checksum="x", issuer="https://login.example.com/", access_token=record, kept_until=NEVER
    )
    page = client.get(LISTS["tokens"]).content.decode()
    for origin in ("an operator", "consent", "https://login.example.com/"):
        assert origin in page
    assert "https://login.example.com/" in client.get(f"{LISTS['tokens']}{record.pk}/change/").content.decode()
