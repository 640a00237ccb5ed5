"""Identity assertions (ID-JAG) of the test issuer, and clients that exchange them for access tokens."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.auth.issuers import ISSUER, RSA, signed
from tests.support.auth.oauth_client import BASIC, RESOURCE, register

SERVER = "http://localhost:5000"  # our issuer identifier
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TYP = "oauth-id-jag+jwt"


@dataclass
class CompanyClient:
    """A client with a secret, or without one if ``secret`` is empty."""

    http: httpx2.AsyncClient
    client_id: str
    secret: str
    registration: dict[str, Any] = field(default_factory=dict)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Valid claims about Alice for this client. A claim of None is left out."""
        now = int(time.time())
        values = {
            "iss": ISSUER,
            "aud": SERVER,
            "sub": "alice",
            "client_id": self.client_id,
            "resource": RESOURCE,
            "scope": BASIC,
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 300,
            **changes,
        }
        return {name: value for name, value in values.items() if value is not None}

    def id_jag(self, *, key: Any = RSA, algorithm: str = "RS256", typ: Any = TYP, **changes: Any) -> str:
        return signed(self.claims(**changes), key, algorithm, {"typ": typ})

    async def exchange(self, assertion: str | None = None, /, **form: str) -> httpx2.Response:
        """Send an assertion, by default a valid one."""
        credentials = {"client_secret": self.secret} if self.secret else {}
        fields = {
            "grant_type": JWT_BEARER,
            "assertion": self.id_jag() if assertion is None else assertion,
            "client_id": self.client_id,
            **credentials,
            **form,
        }
        return await self.http.post("/oauth/token", data=fields)

    async def token(self, **changes: Any) -> str:
        response = await self.exchange(self.id_jag(**changes))
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])


async def company_client(http: httpx2.AsyncClient, **metadata: Any) -> CompanyClient:
    """A client that has registered itself, by default with a secret."""
    values = {"client_name": "Assistant", "token_endpoint_auth_method": "client_secret_post", **metadata}
    response = await register(http, **values)
    assert response.status_code == 201, response.text
    registration = response.json()
    return CompanyClient(http, registration["client_id"], registration.get("client_secret", ""), registration)
