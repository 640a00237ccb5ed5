"""The issuers whose JWTs are accepted, as configured in the setting JWT_ISSUERS."""

import re
from collections.abc import Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from todo_mcp.auth.jwt.key_set import JsonWebKeySet
from todo_mcp.core.durations import parse_duration

# RFC 7518, section 3.1, and RFC 8037. The configuration names the family; a token names one algorithm of it.
FAMILIES = {
    "HS": ("HS256", "HS384", "HS512"),
    "RS": ("RS256", "RS384", "RS512"),
    "PS": ("PS256", "PS384", "PS512"),
    "ES": ("ES256", "ES384", "ES512"),
    "EdDSA": ("EdDSA",),
}
LIFETIMES = range(60, 30 * 24 * 3600 + 1)  # seconds; a smaller number was meant as minutes or hours
SECRET_MIN = 32  # bytes; RFC 7518, section 3.2
EXAMPLE = '[{"issuer": "https://login.example.com/", "audience": "todo", "family": "RS", "jwks_url": "https://…"}]'
HTTPS_OR_LOCAL = r"^https://[^\s]+$|^http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?/[^\s]*$"


class JwtIssuer(BaseModel):
    """One issuer, with one algorithm family and one source of keys.

    Args:
        issuer: the exact value of ``iss`` (RFC 7519, section 4.1).
        audience: a value that ``aud`` must contain. Empty for an issuer of identity assertions alone.
        secret, public_key, jwks_url: exactly one of them. A key set is fetched, and fetched again when keys rotate.
        unknown_subjects: whether the first call of an unknown ``sub`` creates a user.
        scopes: the scopes of a token that has no scope claim.
        act_as_clients: clients (``client_id`` or ``azp``) whose own tokens act for any user, like service tokens.
        max_lifetime: the largest difference of ``exp`` and ``iat``, in seconds; the text may also be a duration.
        id_jag_clients: clients whose identity assertions (ID-JAG) of this issuer are accepted. ``*`` stands for every
            client with a secret. A client without a secret must be named.
        id_jag_tenant: the value of the claim ``tenant`` in these assertions, if the issuer serves several tenants.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(min_length=1)
    audience: str = ""
    family: Literal["HS", "RS", "PS", "ES", "EdDSA"]
    secret: str = ""
    public_key: str = ""
    jwks_url: str = Field("", pattern=f"^$|{HTTPS_OR_LOCAL}")
    unknown_subjects: Literal["refuse", "create"] = "refuse"
    scopes: tuple[str, ...] = ("tasks:read", "tasks:write", "conversations:read", "conversations:write")
    act_as_clients: frozenset[str] = frozenset()
    max_lifetime: int = 3600
    id_jag_clients: frozenset[str] = frozenset()
    id_jag_tenant: str = ""

    @field_validator("max_lifetime", mode="before")
    @classmethod
    def _seconds(cls, value: Any, info: ValidationInfo) -> int:
        if isinstance(value, str) and value.isascii() and value.strip().isdigit():
            value = int(value[:20])
        try:
            seconds = parse_duration(value).total_seconds() if isinstance(value, str) else value
            if isinstance(seconds, (int, float)) and seconds == int(seconds) and int(seconds) in LIFETIMES:
                return int(seconds)
        except (ValueError, OverflowError):  # no duration, NaN or Infinity
            pass
        raise ValueError(
            f"the max_lifetime of issuer {info.data.get('issuer')!r} must be a number of seconds, such as 5400, "
            f'or a text such as "24h", from {LIFETIMES.start} s to 30d'
        )

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, entry: Any) -> Any:
        """Bring what people write into one form. ``issuer`` keeps its letters and slashes: tokens repeat it exactly."""
        if not isinstance(entry, dict):
            return entry
        tidy = {name: value if name == "secret" else _without_blanks(value) for name, value in entry.items()}
        if isinstance(family := tidy.get("family"), str):
            tidy["family"] = next((name for name in FAMILIES if name.lower() == family.lower()), family)
        if isinstance(url := tidy.get("jwks_url"), str):
            tidy["jwks_url"] = re.sub("^https?://[^/?#@]*", lambda match: match[0].lower(), url, flags=re.IGNORECASE)
        return tidy

    @model_validator(mode="after")
    def _one_purpose(self) -> Self:
        if not self.audience and not self.id_jag_clients:
            raise ValueError("give an audience; only an entry with id_jag_clients may leave it out")
        if self.id_jag_tenant and not self.id_jag_clients:
            raise ValueError("id_jag_tenant goes with id_jag_clients")
        return self

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if sum(map(bool, (self.secret, self.public_key, self.jwks_url))) != 1:
            raise ValueError("give one of secret, public_key and jwks_url")
        if bool(self.secret) != (self.family == "HS"):
            raise ValueError("family HS goes with a secret, every other family with public_key or jwks_url")
        if self.secret and len(self.secret.encode()) < SECRET_MIN:
            raise ValueError(f"secret is shorter than {SECRET_MIN} bytes")
        if self.public_key:
            _ = self._pem
        _ = urlsplit(self.jwks_url).port  # a ValueError if it is not 0 to 65535
        return self

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms of the family. A token must use one of them."""
        return FAMILIES[self.family]

    def key(self, header: dict[str, Any]) -> Any:
        """The key for a token with this header. The header never decides where keys come from.

        Raises:
            KeysUnavailable: the key set could not be fetched.
            LookupError: the key set does not contain the key.
        """
        if self.secret:
            return self.secret.encode()
        return self._pem if self.public_key else self._key_set.find(header.get("kid"), str(header["alg"]))

    def fetch(self, header: dict[str, Any]) -> "Future[None] | None":
        """The fetch to wait for before calling ``key``, or None."""
        return self._key_set.fetch(header.get("kid"), str(header["alg"])) if self.jwks_url else None

    @cached_property
    def _key_set(self) -> JsonWebKeySet:
        return JsonWebKeySet(self.jwks_url)

    @cached_property
    def _pem(self) -> Any:
        try:
            key = get_default_algorithms()[self.algorithms[0]].prepare_key(self.public_key)
        except (PyJWTError, ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(f"public_key is no PEM public key of family {self.family}") from None
        if hasattr(key, "private_bytes"):
            raise ValueError("public_key holds a private key; give the public one")
        return key


def _without_blanks(value: Any) -> Any:
    """A text without blanks around it. A list also without its empty items."""
    if isinstance(value, list):
        return [item for item in map(_without_blanks, value) if item != ""]
    return value.strip() if isinstance(value, str) else value


def parse_issuers(text: str, scopes: Sequence[str]) -> tuple[JwtIssuer, ...]:
    """Parse the JSON list of issuers. An empty text means no issuers.

    Raises:
        ImproperlyConfigured: the list is not valid. The message explains why and contains no key.
    """
    if not text.strip():
        return ()
    try:
        issuers = TypeAdapter(tuple[JwtIssuer, ...]).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(map(str, first["loc"])) or "the list"
        raise ImproperlyConfigured(f"JWT_ISSUERS, {location}: {first['msg']}; write it like {EXAMPLE}.") from None
    if len({issuer.issuer for issuer in issuers}) != len(issuers):
        raise ImproperlyConfigured("JWT_ISSUERS names an issuer twice; give each one entry.")
    if unknown := {scope for issuer in issuers for scope in issuer.scopes} - set(scopes):
        raise ImproperlyConfigured(f"JWT_ISSUERS names {min(unknown)!r}; choose scopes from {', '.join(scopes)}.")
    return issuers
