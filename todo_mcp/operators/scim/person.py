"""The SCIM user: the attributes of RFC 7643, section 4.1, that this server stores. Others are ignored."""

from typing import Annotated, Any

from scim2_models import URN, CaseExact, ComplexAttribute, Mutability, Name, Required, Resource, Returned, Uniqueness


class Email(ComplexAttribute):
    """An address. One is stored: the primary one, else the first."""

    value: str | None = None
    type: str | None = None
    primary: bool | None = None


class Person(Resource[Any]):
    """A user without those attributes that this server does not have.

    ``name`` is read if there is no ``display_name``, and never returned.
    """

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    user_name: Annotated[
        str | None, Uniqueness.server, Required.true, CaseExact.true, Mutability.immutable, Returned.always
    ] = None
    display_name: str | None = None
    name: Annotated[Name | None, Mutability.write_only, Returned.never] = None
    active: bool | None = None
    emails: list[Email] | None = None
    timezone: str | None = None
