"""Every kind of bad token, by the rule that refuses it."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from oauth2_provider.models import AccessToken

from tests.support.auth.issuers import AUDIENCE, EC, ISSUER, OTHER_RSA, PEM, claims, raw, signed
from todo_mcp.auth.revocation import By, Cause
from todo_mcp.auth.tokens import checksum, issue_token, revoke_token

Make = Callable[[], str]
NOW = int(time.time())
AT_JWT = {"typ": "at+jwt"}
HEADER = '{"alg":"RS256","typ":"JWT"}'


def b64(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def cut(token: str, part: int, replacement: str) -> str:
    parts = token.split(".")
    parts[part] = replacement
    return ".".join(parts)


def jws(**changed: Any) -> Callable[[], str]:
    return lambda: signed(claims(**changed))


def delegated(seconds: int, act: Any) -> Callable[[], str]:
    """A token with ``act`` that is issued now; such a token lives for 5 minutes at most."""
    return lambda: signed(claims(iat=int(time.time()), exp=int(time.time()) + seconds, act=act))


def headed(**headers: Any) -> Callable[[], str]:
    return lambda: signed(headers=headers)


def twice(name: str, first: Any) -> Callable[[], str]:
    """A token whose payload contains a claim twice; the first value is bad."""
    return lambda: raw(HEADER, f'{{"{name}": {json.dumps(first)}, {json.dumps(claims())[1:]}')


JWTS: dict[str, dict[str, Make]] = {
    "jwt_malformed": {
        "payload not encoded": headed(b64=False, crit=["b64"]),
        "exp beyond any float": lambda: raw(
            HEADER, json.dumps(claims())[:-1].replace('"exp"', '"x"') + ', "exp": 1e999}'
        ),
        "exp twice": twice("exp", NOW - 700),
        "sub twice": twice("sub", "bob"),
        "alg twice": lambda: raw('{"alg":"none","alg":"RS256"}', json.dumps(claims())),
        "payload a list": lambda: raw(HEADER, "[]"),
        "payload no JSON": lambda: raw(HEADER, "{"),
        "payload nested too deep": lambda: raw(HEADER, json.dumps(claims())[:-1] + ',"x":' + "[" * 40 + "]" * 40 + "}"),
        "header no JSON": lambda: cut(signed(), 0, b64("{")),
        "header no base64": lambda: cut(signed(), 0, "!!!!"),
        "three empty parts": lambda: "..",
    },
    "jwt_issuer": {
        "no iss": jws(iss=None),
        "other issuer": jws(iss="https://evil.example/"),
        "issuer without its slash": jws(iss=ISSUER.rstrip("/")),
        "issuer in a list": lambda: raw(HEADER, json.dumps(claims(iss=[ISSUER]))),
    },
    "jwt_algorithm": {
        "alg none": lambda: f"{b64({'alg': 'none', 'typ': 'JWT'})}.{b64(claims())}.",
        "alg None": lambda: f"{b64({'alg': 'None', 'typ': 'JWT'})}.{b64(claims())}.",
        "alg none with a signature": lambda: cut(signed(), 0, b64({"alg": "none"})),
        "no alg": lambda: cut(signed(), 0, b64({"typ": "JWT"})),
        "alg a number": lambda: cut(signed(), 0, b64({"alg": 256})),
        "another family": lambda: signed(algorithm="PS256"),
        "another kind of key": lambda: signed(key=EC, algorithm="ES256"),
    },
    "jwt_extension": {
        "unknown critical extension": headed(crit=["exp"], exp=1),
    },
    "jwt_type": {
        "a logout token": headed(typ="logout+jwt"),
        "a proof": headed(typ="dpop+jwt"),
        "an unknown type": headed(typ="id_token+jwt"),
        "a type with two prefixes": headed(typ="application/application/at+jwt"),
        "a type with a blank": headed(typ=" at+jwt"),
        "an empty type": headed(typ=" "),
        "typ a number": lambda: raw('{"alg":"RS256","typ":7}', json.dumps(claims())),
    },
    "jwt_signature": {
        "another key": lambda: signed(key=OTHER_RSA),
        "signature missing": lambda: cut(signed(), 2, ""),
        "signature of another token": lambda: cut(signed(claims(sub="bob")), 2, signed().split(".")[2]),
        "claims of another token": lambda: cut(signed(), 1, b64(claims(sub="bob"))),
        "header says where the key is": lambda: signed(key=OTHER_RSA, headers={"jku": "http://127.0.0.1:9/keys"}),
        "header brings the key": lambda: signed(key=OTHER_RSA, headers={"jwk": {"kty": "oct", "k": "AAAA"}}),
        "header brings a certificate": lambda: signed(
            key=OTHER_RSA, headers={"x5u": "http://127.0.0.1:9/", "x5c": ["x"]}
        ),
    },
    "jwt_claims": {
        "exp as text": jws(exp=str(NOW + 86_400)),
        "no audience in the list": jws(aud=[]),
        "no exp": jws(exp=None),
        "no iat": jws(iat=None),
        "no sub": jws(sub=None),
        "no aud": jws(aud=None),
        "iat as text": jws(iat=str(NOW)),
        "sub empty": jws(sub=""),
        "sub a number": lambda: raw(HEADER, json.dumps(claims(sub=7))),
        "sub with a control character": jws(sub="alice\n"),
        "delegated by nobody": delegated(200, {}),
        "delegated by an empty name": delegated(200, {"sub": ""}),
        "delegated by a number": delegated(200, {"sub": 7}),
        "act no object": delegated(200, "chat"),
        "scope a number": jws(scope=7),
    },
    "jwt_audience": {
        "other audience": jws(aud="other"),
        "other audiences": jws(aud=["other", "another"]),
        "audience in another case": jws(aud=AUDIENCE.upper()),
        "audience that begins with ours": jws(aud=f"{AUDIENCE}-other"),
        "an access token with a nonce for another audience": lambda: signed(
            claims(nonce="x", aud="other"), headers=AT_JWT
        ),
    },
    "jwt_expired": {
        "exp as boolean": jws(exp=True),
        "expired": jws(iat=NOW - 700, exp=NOW - 100),
        "expired past the leeway": jws(iat=NOW - 700, exp=NOW - 40),
    },
    "jwt_not_yet_valid": {
        "issued in the future": lambda: signed(claims(iat=int(time.time()) + 200, exp=int(time.time()) + 700)),
        "not valid yet": lambda: signed(claims(nbf=int(time.time()) + 200)),
    },
    "jwt_lifetime": {
        "lives for ten years": jws(exp=NOW + 315_360_000),
        "lives for an hour and a second": jws(iat=NOW, exp=NOW + 3601),
        "ends before it was issued": lambda: signed(claims(iat=int(time.time()) + 10, exp=int(time.time()) + 5)),
        "delegated for more than five minutes": delegated(400, {"sub": "chat"}),
    },
    "jwt_purpose": {
        "an ID token by its nonce": jws(nonce="x"),
        "an ID token without a type": lambda: raw('{"alg":"RS256"}', json.dumps(claims(nonce="x"))),
        "an ID token by its nonce, among our audiences": jws(nonce="x", aud=[AUDIENCE, "client"], azp="client"),
        "an ID token of Keycloak": jws(typ="ID"),
        "an ID token with the type of an access token": lambda: signed(claims(nonce="x", typ="ID"), headers=AT_JWT),
        "a nonce that is null": lambda: raw(HEADER, json.dumps(claims())[:-1] + ', "nonce": null}'),
        "a nonce beside a kind that both kinds of tokens may have": jws(nonce="x", token_type="JWT"),
        "an access token with the hash of a code": lambda: signed(claims(c_hash="x"), headers=AT_JWT),
        "a refresh token of Keycloak": jws(typ="Refresh"),
        "a refresh token of SimpleJWT": jws(token_type="refresh"),
        "a refresh token of Flask": jws(type="refresh"),
        "a kind that is a number": jws(token_use=7),
        "an ID token by its hash": jws(at_hash="x"),
        "an ID token by its use": jws(token_use="id"),
        "a security event": jws(events={}),
        "bound to a key": jws(cnf={"jkt": "x"}),
    },
    "user_unknown": {
        "sub of nobody": jws(sub="nobody"),
        "sub in another case": jws(sub="ALICE"),
    },
    "user_deactivated": {
        "sub of a deactivated user": jws(sub="gone"),
    },
    "token_unknown": {
        "two parts": lambda: ".".join(signed().split(".")[:2]),
        "four parts": lambda: f"{signed()}.x",
        "five parts, encrypted": lambda: f"{b64({'alg': 'dir', 'enc': 'A256GCM'})}...x.x",
    },
    "token_malformed": {
        "larger than 8 KB": jws(x="x" * 8192),
    },
}


def algorithm_confusion() -> str:
    """The token of an algorithm confusion attack: it is signed with the public key as a shared secret."""
    signing_input = f"{b64({'alg': 'HS256'})}.{b64(claims())}"
    digest = hmac.digest(PEM.encode(), signing_input.encode(), "sha256")
    return f"{signing_input}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


JWTS["jwt_algorithm"]["public key as a shared secret"] = algorithm_confusion
OPAQUE: dict[str, dict[str, Make]] = {
    "token_unknown": {
        "unknown": lambda: "todo_" + "x" * 43,
        "only the prefix": lambda: "todo_",
        "a checksum": lambda: checksum(issue_token(user_id="alice")),
        "in another case": lambda: issue_token(user_id="alice").upper(),
        "cut": lambda: issue_token(user_id="alice")[:-1],
        "with more": lambda: issue_token(user_id="alice") + "x",
        "revoked": lambda: revoked_token(),
        "two tokens": lambda: f"{issue_token(user_id='alice')} {issue_token(user_id='alice')}",
        "two tokens with a comma": lambda: f"{issue_token(user_id='alice')}, Bearer x",
        "quoted": lambda: f'"{issue_token(user_id="alice")}"',
        "a null byte, written": lambda: "todo_%00",
    },
    "token_expired": {
        "expired": lambda: issue_token(user_id="alice", expires_in=timedelta(seconds=-1)),
    },
    "user_deactivated": {
        "of a deactivated user": lambda: issue_token(user_id="gone"),
    },
    "token_audience": {
        "for another audience": lambda: bound_to("https://evil.example/mcp"),
        "for an audience that begins with ours": lambda: bound_to("http://localhost:5000/mcp-other"),
        "for our host on another port": lambda: bound_to("http://localhost:5001/mcp"),
    },
    "token_malformed": {
        "very long": lambda: "x" * 9000,
    },
}
HEADERS = ("Bearer", "Bearer ", "Basic YWxpY2U6eA==", "Token x", "bearer\tx", "Digest x", "x", "Bearer=x", "DPoP x")


def revoked_token() -> str:
    token = issue_token(user_id="alice")
    revoke_token(token_id=AccessToken.objects.get(token_checksum=checksum(token)).pk, cause=Cause(By.COMMAND))
    return token


def bound_to(resource: str) -> str:
    token = issue_token(user_id="alice")
    AccessToken.objects.filter(token_checksum=checksum(token)).update(resource=[resource])
    return token
