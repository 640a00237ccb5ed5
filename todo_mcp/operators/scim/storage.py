"""Users as SCIM resources (RFC 7643): what an identity provider may read, create, change, deactivate and delete.

The id and ``userName`` of a SCIM user are the user's id here. Operators are not visible: whoever can change the address
of an operator could take over the admin.
"""

import logging
import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet
from scim2_models import (
    InvalidFilterException,
    InvalidValueException,
    Meta,
    MutabilityException,
    NotFoundException,
    Resource,
    ResourceType,
    SCIMException,
    SearchRequest,
    UniquenessException,
)
from scim2_models.path import CompareOperator, Comparison
from scim2_server.storage import ScimStorage, SearchPage

from todo_mcp.operators.scim.person import Email, Person
from todo_mcp.operators.user_data import delete_user
from todo_mcp.users.models import User
from todo_mcp.users.services import adopt_time_zone, create_user, set_active

logger = logging.getLogger(__name__)

# What a filter may compare with ``eq``, and the field that has it. RFC 7643, section 2.1: names ignore case.
FILTERS = {"username": "id", "id": "id", "emails.value": "email__iexact", "emails": "email__iexact"}
FILTERS |= {"active": "is_active", "displayname": "name"}
UNADDRESSABLE = re.compile(r"[/\\;]|^\.{1,2}$")  # transports/http/paths.py refuses them in a path
START_MAX = 2**31  # PostgreSQL takes no number above 2⁶³
TAKEN = "There is a user with this userName."
ATTRIBUTES = {"id": "userName", "name": "displayName", "email": "emails"}  # of fields, for errors


class UserStorage(ScimStorage):
    """Reads and writes users for the library, which speaks the protocol."""

    def get(self, resource_type: ResourceType, resource_id: str, *, response_parameters: Any = None) -> Resource[Any]:
        return _to_scim(_find(resource_id))

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        found = _matching(search_request)
        first = min(search_request.start_index_0 or 0, START_MAX)
        page = found[first : first + (search_request.count or 0)]
        return SearchPage(found.count(), [_to_scim(user) for user in page])

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        wanted = _checked(resource)
        user_id = wanted.user_name or ""
        if UNADDRESSABLE.search(user_id):
            raise InvalidValueException(detail="userName: Leave out / \\ and ; because addresses contain it.")
        try:
            create_user(user_id=user_id, email=_email(wanted), name=_name(wanted))
        except ValidationError as error:
            raise _invalid(error) from None
        except IntegrityError:  # another request created the user first
            raise UniquenessException(detail=TAKEN) from None
        _apply_state(user_id, wanted)
        _log("created", user_id)
        return _to_scim(_find(user_id))

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        wanted = _checked(resource)
        user = _find(wanted.id or "")
        if wanted.user_name != user.pk:
            raise MutabilityException(detail="A userName cannot change: tasks belong to it. Create another user.")
        user.email, user.name = _email(wanted), _name(wanted)
        try:
            user.clean_fields(exclude={field.name for field in User._meta.fields} - {"email", "name"})
        except ValidationError as error:
            raise _invalid(error) from None
        user.save(update_fields=["email", "name"])
        _apply_state(user.pk, wanted)
        _log("deactivated" if wanted.active is False else "changed", user.pk)
        return _to_scim(_find(user.pk))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        delete_user(user_id=_find(resource_id).pk)
        _log("deleted", resource_id)


def _people() -> QuerySet[User]:
    return User.objects.filter(is_staff=False, is_superuser=False)


def _find(user_id: str) -> User:
    user = _people().filter(pk=user_id).first()
    if user is None:
        raise NotFoundException(detail="There is no such user.")
    return user


def _matching(request: SearchRequest[Any]) -> QuerySet[User]:
    """The users that the filter selects, in the order of their ids."""
    if request.filter is None:
        return _people().order_by("pk")
    node = request.filter.ast
    field = FILTERS.get(str(node.attr_path).lower().rpartition(":user:")[2]) if isinstance(node, Comparison) else None
    if field is None or not isinstance(node, Comparison) or node.op != CompareOperator.eq:
        raise InvalidFilterException(detail=f"Filter by one of {', '.join(FILTERS)}, with eq.")
    if isinstance(node.value, bool) != (field == "is_active"):
        raise InvalidFilterException(detail="The value has the wrong type.")
    if isinstance(node.value, str) and not node.value.isprintable():
        return User.objects.none()
    return _people().filter(**{field: node.value}).order_by("pk")


def _checked(resource: Resource[Any]) -> Person:
    assert isinstance(resource, Person)
    return resource


def _to_scim(user: User) -> Person:
    emails = [Email(value=user.email, type="work", primary=True)] if user.email else None
    return Person(
        id=user.pk,
        user_name=user.pk,
        display_name=user.name or None,
        emails=emails,
        active=user.is_active,
        timezone=user.time_zone or None,
        meta=Meta(resource_type="User", created=user.created_at),
    )


def _name(wanted: Person) -> str:
    name = wanted.name
    parts = [name.formatted] if name and name.formatted else [name.given_name, name.family_name] if name else []
    text = wanted.display_name or " ".join(part for part in parts if part)
    return "".join(character for character in text if character.isprintable())


def _email(wanted: Person) -> str:
    """The primary address, else the first one."""
    emails = sorted(wanted.emails or (), key=lambda email: not email.primary)
    return str(emails[0].value or "") if emails else ""


def _apply_state(user_id: str, wanted: Person) -> None:
    """Store ``active`` if it is given, and the time zone if the person has chosen none."""
    if wanted.active is not None:
        set_active(user_id=user_id, active=wanted.active)
    if wanted.timezone:
        adopt_time_zone(user_id=user_id, time_zone=wanted.timezone)


def _invalid(error: ValidationError) -> SCIMException:
    if any(problem.code == "unique" for problem in error.error_dict.get("id", ())):
        return UniquenessException(detail=TAKEN)
    texts = (f"{ATTRIBUTES.get(name, name)}: {' '.join(texts)}" for name, texts in error.message_dict.items())
    return InvalidValueException(detail=" ".join(texts))


def _log(change: str, user_id: str) -> None:
    logger.info("scim", extra={"change": change, "user_id": user_id})
