"""The pages of OAuth clients and of their connections with users."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application
from pytest_django import DjangoAssertNumQueries

from tests.operators.tokens.conftest import connect
from tests.support.factories import UserFactory
from tests.support.operators import LISTS, staff_with
from todo_mcp.auth.models import RevokedToken
from todo_mcp.auth.oauth.connected_apps import list_connections
from todo_mcp.auth.tokens import issue_token
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

CLIENTS = "/admin/oauth2_provider/application/"


def address(application: Application, user_id: str) -> str:
    return f"{CLIENTS}{application.pk}/users/{user_id}/"


def test_the_page_of_a_client_says_who_vouches_for_it_and_who_uses_it(
    client: Client, assistant: Application, alice: User
) -> None:
    token = connect(assistant, alice, days_ago=20)
    write_uses({token.pk: timezone.now()})
    page = client.get(f"{CLIENTS}{assistant.pk}/change/").content.decode()
    since = timezone.now() - timedelta(days=20)
    for text in (
        "assistant.example.com/b",
        "published metadata",
        f"{since:%Y-%m-%d %H:%M}",
        address(assistant, "alice"),
    ):
        assert text in page
    assert f"{LISTS['tokens']}?client={assistant.pk}" in page


def test_the_list_has_clients_of_people_but_no_tokens_of_operators(
    client: Client, assistant: Application, alice: User, bob: User
) -> None:
    issue_token(user_id="alice", name="phone")
    other = Application.objects.create(name="Editor", registration_source=Application.RegistrationSource.DCR)
    connect(assistant, alice)
    connect(other, bob)
    page = client.get(CLIENTS).content.decode()
    assert "Assistant" in page and "Editor" in page and "phone" not in page and "nobody" in page
    for query in ("user=alice", "q=user:alice", "q=assist", "source=cimd"):
        page = client.get(f"{CLIENTS}?{query}").content.decode()
        assert page.count('name="_selected_action"') == 1 and "Editor" not in page, query
    manual = Application.objects.get(name="phone")
    assert client.get(f"{CLIENTS}{manual.pk}/change/").status_code == 302


def test_all_tokens_of_a_client_are_revoked_after_a_confirmation(
    client: Client, assistant: Application, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        connect(assistant, user)
    form = {"action": "revoke_client", "_selected_action": assistant.pk, "from_row": "yes"}
    question = client.post(CLIENTS, form)["Location"]
    assert "Revoke all tokens of 1 OAuth client?" in client.get(question).content.decode()
    assert AccessToken.objects.count() == 2
    client.post(question, {"reason": "phishing"})
    assert not AccessToken.objects.exists()
    assert set(RevokedToken.objects.values_list("reason", "name")) == {("phishing", "Assistant")}


def test_a_connection_is_ended_after_a_confirmation(
    client: Client, assistant: Application, alice: User, bob: User
) -> None:
    for user in (alice, bob):
        connect(assistant, user)
    url = address(assistant, "alice")
    assert "Disconnect…" in client.get(url).content.decode()
    question = client.get(f"{url}disconnect/").content.decode()
    assert 'name="reason"' in question and AccessToken.objects.count() == 2
    assert client.post(f"{url}disconnect/", {"reason": "left"})["Location"] == url
    page = client.get(url).content.decode()
    assert "Not connected now" in page and f"user=alice&amp;client={assistant.pk}" in page
    assert [row.user_id for row in AccessToken.objects.all()] == ["bob"]
    assert RevokedToken.objects.get().reason == "left"
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == ("alice", f"Disconnected client {assistant.pk}")
    assert "was not connected" in client.post(f"{url}disconnect/", follow=True).content.decode()


def test_the_page_of_a_user_lists_the_connected_apps(client: Client, assistant: Application, alice: User) -> None:
    connect(assistant, alice)
    page = client.get(f"{LISTS['users']}alice/change/").content.decode()
    assert address(assistant, "alice") in page and f"{CLIENTS}{assistant.pk}/change/" in page


def test_a_user_id_with_a_slash_has_a_page_of_the_connection(client: Client, assistant: Application) -> None:
    user = UserFactory.create(id="a&b/c d")
    connect(assistant, user)
    page = client.get(f"{LISTS['users']}a_26b_2Fc d/change/").content.decode()
    url = f"{CLIENTS}{assistant.pk}/users/a_26b_2Fc%20d/"
    assert url in page and client.get(url).status_code == 200


def test_nobody_adds_or_edits_a_client_here(client: Client, assistant: Application) -> None:
    for url in (f"{CLIENTS}add/", f"{CLIENTS}{assistant.pk}/delete/"):
        assert client.get(url).status_code == 403
    client.post(f"{CLIENTS}{assistant.pk}/change/", {"name": "Other"})
    assert Application.objects.get(pk=assistant.pk).name == assistant.name


def test_what_does_not_exist_is_not_found(client: Client, assistant: Application, alice: User) -> None:
    for url in (address(assistant, "nobody"), address(assistant, "a%00b"), f"{CLIENTS}99999/users/alice/"):
        assert client.get(url).status_code == 404


def test_only_who_may_see_tokens_sees_clients_and_only_who_may_revoke_them_disconnects(
    assistant: Application, alice: User
) -> None:
    connect(assistant, alice)
    urls = (CLIENTS, f"{CLIENTS}{assistant.pk}/change/", address(assistant, "alice"))
    others = staff_with("view_task", "view_application", "change_application")
    assert [others.get(url).status_code for url in urls] == [403] * 3
    assert [Client().get(url).status_code for url in urls] == [302] * 3
    User.objects.get(pk="dave").delete()
    viewer = staff_with("view_accesstoken", "delete_application")
    for url in urls:
        assert "isconnect" not in viewer.get(url).content.decode().replace("Not connected", "")
    assert viewer.post(f"{urls[2]}disconnect/").status_code == 403
    assert viewer.post(f"{CLIENTS}confirm/?action=revoke_client&row={assistant.pk}").status_code == 403
    assert AccessToken.objects.exists()


def test_names_that_clients_choose_are_escaped(client: Client, alice: User) -> None:
    hostile = "<script>alert(1)</script>"
    application = Application.objects.create(name=hostile, registration_source=Application.RegistrationSource.DCR)
    connect(application, alice)
    for url in (
        CLIENTS,
        f"{CLIENTS}{application.pk}/change/",
        address(application, "alice"),
        f"{LISTS['users']}alice/change/",
        LISTS["tokens"],
    ):
        page = client.get(url).content.decode()
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page, url


def test_the_pages_make_few_queries_whatever_the_number_of_connections(
    client: Client, assistant: Application, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        connect(assistant, UserFactory.create(id=f"user-{number}"))
    pages = {
        CLIENTS: 6,  # session, operator, bounded count, rows, counts, last uses
        f"{CLIENTS}{assistant.pk}/change/": 7,  # session, operator, client, counts, last use; connections, their uses
        address(assistant, "user-3"): 9,  # the same, the user, and the usable tokens
    }
    for url, queries in pages.items():
        client.get(url)
        with django_assert_num_queries(queries):
            assert client.get(url).status_code == 200


def test_a_list_of_connections_shows_each_once_with_the_time_of_the_consent(
    assistant: Application, alice: User, bob: User
) -> None:
    for user in (alice, bob, alice):
        connect(assistant, user, days_ago=3)
    connections = list_connections(application_id=assistant.pk)
    assert [connection.user_id for connection in connections] == ["alice", "bob"]
    assert all(timezone.now() - connection.since > timedelta(days=2) for connection in connections)
