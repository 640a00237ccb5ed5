"""Which redirect URIs a client may have. A code is sent to them, and the person's browser opens them.

A redirect URI is one of these:

- an https address
- http on loopback (RFC 8252, section 7.3)
- a private-use scheme, which opens an app on the person's device (RFC 8252, section 7.1). Many apps use a scheme
  without a dot, so it is accepted too.

A scheme that runs or reads something is refused by its name.
"""

import re
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from oauth2_provider.models import Application
from oauth2_provider.validators import AllowedURIValidator
from oauthlib.uri_validate import is_absolute_uri

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
URI_MAX = 2048  # characters
SHOWN_MAX = 120  # characters of a redirect URI in a message or on the consent page
WEB = ("https", "http")
# Why a scheme is not private to one app.
REFUSED = {
    "runs or shows what stands in the address": (
        "about blob data feed feeds filesystem jar javascript livescript mhtml mocha pcast vbscript view-source wyciwyg"
    ),
    "opens a page of the browser or of an extension": (
        "brave chrome chrome-error chrome-extension chrome-native chrome-search chrome-untrusted devtools edge "
        "extension firefox googlechrome googlechromes microsoft-edge moz-extension moz-icon opera res resource "
        "safari-extension safari-web-extension vivaldi"
    ),
    "reads a file": ("afp assets cid content dav davs file help hcp its local mid mk nfs shell smb x-man-page"),
    "runs, finds or installs programs": (
        "android-app app-prefs app-settings applescript intent itms itms-apps itms-services jnlp jnlps market prefs "
        "search search-ms shortcuts workflow"
    ),
    "speaks another protocol with a server": (
        "dict finger ftp ftps git gopher imap irc ircs ldap ldaps magnet news nntp pop rdp rlogin rtmp rtsp sftp snews "
        "ssh svn telnet tftp vnc ws wss"
    ),
    "calls somebody or writes to somebody": (
        "callto facetime facetime-audio fax im mailto mms mmsto modem sip sips sms smsto tel telprompt xmpp"
    ),
    "names something that no browser can open": ("localhost tag urn"),
}
# Windows opens many of its own programs by such schemes. Two of them are the callbacks of its sign-in.
WINDOWS, WINDOWS_SIGN_IN = "ms-", frozenset({"ms-app", "ms-appx-web"})

_REASONS = {scheme: reason for reason, schemes in REFUSED.items() for scheme in schemes.split()}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)")
_PORT = re.compile(r"[0-9]+([/?].*)?")
_is_web_address = AllowedURIValidator(WEB, "redirect uri", allow_path=True, allow_query=True)


def refusal(uri: object) -> str | None:
    """Why no code may be sent to this URI, as the end of a sentence about it. None if one may be sent."""
    if not isinstance(uri, str):
        return "is not a string"
    if len(uri) > URI_MAX:
        return f"is longer than {URI_MAX} characters"
    match = _SCHEME.fullmatch(uri)
    if match is None:
        return "does not begin with a scheme"
    if "#" in uri:
        return "has a fragment"
    scheme, rest = match[1].lower(), match[2]
    if reason := _refused_scheme(scheme):
        return f"has the scheme {scheme}, which {reason}"
    if not is_absolute_uri(uri):
        return "holds characters that a URI cannot hold"
    if scheme in WEB:
        return _refused_web_address(uri)
    if len(scheme) == 1 or _PORT.fullmatch(rest):
        return f"has no scheme; {scheme} looks like a {'drive' if len(scheme) == 1 else 'host'}"
    return "has a user name or a password" if "@" in urlsplit(uri).netloc else None


def _refused_scheme(scheme: str) -> str | None:
    if scheme.startswith(WINDOWS) and scheme not in WINDOWS_SIGN_IN:
        return "opens a program of Windows"
    return _REASONS.get(scheme)


def _refused_web_address(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        if not parts.hostname:
            return "has no host"
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            return "has the scheme http, which is allowed only on the client's own computer (localhost, 127.0.0.1)"
        _is_web_address(uri)
    except (ValueError, ValidationError):
        return "is not a valid web address"
    return None


def refusal_message(uri: object, reason: str) -> str:
    return (
        f"The redirect URI {shown(uri)} {reason}. Register an https address, http on localhost or 127.0.0.1, "
        "or a scheme of the app's own."
    )


def shown(uri: object) -> str:
    """The beginning of a refused URI, in the characters that an error_description may have (RFC 6749, section 5.2)."""
    text = "".join(char if " " <= char <= "~" and char not in '"\\' else "?" for char in str(uri))
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}..."


def is_private_use(uri: str) -> bool:
    return uri.partition(":")[0].lower() not in WEB


def is_registered(uri: str, application: Application) -> bool:
    """Whether this client may get a code at this URI. A private-use URI must equal a registered one exactly."""
    if refusal(uri):
        return False
    if is_private_use(uri):
        return uri in application.redirect_uris.split()
    return bool(application.redirect_uri_allowed(uri))


def answer_at(uri: str, answer: str) -> str:
    """The redirect to the client: the URI exactly as it was asked for, with the query of the library's ``answer``.

    The library parses and joins URIs with ``urllib``. It loses the empty host of ``app:///callback``.
    """
    parts = urlsplit(answer)
    query = f"?{parts.query}" if parts.query else ""
    return f"{uri.partition('?')[0]}{query}" + (f"#{parts.fragment}" if parts.fragment else "")


def _clean(application: Application) -> None:
    for uri in application.redirect_uris.split():
        if reason := refusal(uri):
            raise ValidationError({"redirect_uris": refusal_message(uri, reason)})


def install() -> None:
    """Replace the library's check of a new client: it refuses private-use schemes, and forms such as ``app:callback``.

    This server uses none of the other fields that the library's check covers.
    """
    client: Any = Application
    client.clean = _clean
