"""All settings, read from the environment.

A test compares the names read here with README's table and .env.example.
"""

import secrets
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from todo_mcp import __version__
from todo_mcp.admin_kit.site import UNFOLD as UNFOLD
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.auth.oauth.settings import SILENCED_CHECKS, oauth_settings
from todo_mcp.configuration import addresses, distribution, mail, origins
from todo_mcp.configuration import environment as env
from todo_mcp.configuration.database_settings import database_settings, set_libpq_variables
from todo_mcp.configuration.database_url import EXAMPLE, parse_database_url
from todo_mcp.telemetry.logs import logging_settings

BASE_DIR = distribution.ROOT
env.read_file(distribution.settings_file())

# The process
ENVIRONMENT = env.choice("ENVIRONMENT", "development", ("development", "production"))
PRODUCTION = ENVIRONMENT == "production"
LOG_LEVEL = env.choice(
    "LOG_LEVEL",
    "INFO",
    ("DEBUG", "INFO", "WARNING", "ERROR"),
    aliases={"WARN": "WARNING", "CRITICAL": "CRITICAL", "FATAL": "CRITICAL"},
)
MCP_SERVER_PORT = env.integer("MCP_SERVER_PORT", 5000, 1, addresses.PORT_MAX)
TODO_DATA_DIR = env.directory("TODO_DATA_DIR", distribution.data_directory(), distribution.base_directory())
PUBLIC_URL, _public_host = addresses.public_url("PUBLIC_URL", f"http://localhost:{MCP_SERVER_PORT}")
FORWARDED_ALLOW_IPS = addresses.networks("FORWARDED_ALLOW_IPS")  # proxies whose X-Forwarded-* headers are trusted
env.check_directory("PROMETHEUS_MULTIPROC_DIR")  # Prometheus' client reads it as soon as it is imported

# Limits. docs/architecture.md lists all limits.
# For each worker; also the limit of concurrent calls.
DATABASE_CONNECTIONS = env.integer("DATABASE_CONNECTIONS", 16, 1, 1000)
RATE_LIMIT = env.integer("RATE_LIMIT", 0, 0, 1_000_000)  # calls per minute and user; 0: no limit
# Quotas of each user; 0: none. The messages are those of one conversation, the versions those of one task.
QUOTA_TASKS = env.integer("QUOTA_TASKS", 100_000, 0, 1_000_000_000)
QUOTA_MESSAGES = env.integer("QUOTA_MESSAGES", 10_000, 0, 1_000_000_000)
QUOTA_BYTES = env.integer("QUOTA_BYTES", 1_000_000_000, 0, 10**15)
QUOTA_WRITES = env.integer("QUOTA_WRITES", 10_000, 0, 1_000_000_000)  # a day
QUOTA_VERSIONS = env.integer("QUOTA_VERSIONS", 1000, 0, 1_000_000_000)
# How long /readyz fails after SIGTERM before the port closes.
DRAIN_SECONDS = env.integer("DRAIN_SECONDS", 0, 0, 300)
CONVERSATION_DAYS = env.integer("CONVERSATION_DAYS", 0, 0, 36_500)  # days without activity until purge; 0: never
METRICS_TOKEN = env.token("METRICS_TOKEN")
SCIM_TOKEN = env.token("SCIM_TOKEN", least=32)
BODY_MAX = 256 * 1024
CONVERSATION_BODY_MAX = 4 * 1024 * 1024  # one message may have 100,000 characters, 12 bytes each when escaped
PAGE_BODY_MAX = 128 * 1024  # a form of the admin or of sign-in, which anyone may send
HEADERS_MAX = 16 * 1024
GATE_SECONDS = 1.0

# Django
SECRET_KEY = env.text("SECRET_KEY", like="at least 50 random characters")
if not SECRET_KEY and not PRODUCTION:
    SECRET_KEY = f"development-{secrets.token_urlsafe(48)}"  # sessions end with the process; `make run` stores a key
DEBUG = False
ALLOWED_HOSTS = addresses.hosts("ALLOWED_HOSTS")
if not ALLOWED_HOSTS:
    ALLOWED_HOSTS = [_public_host] if PRODUCTION else ["localhost", "127.0.0.1", "[::1]", _public_host]
PROBE_HOSTS = addresses.hosts("PROBE_HOSTS")  # more host names, for /readyz and /metrics only
BROWSER_ORIGINS = origins.origins("BROWSER_ORIGINS")  # pages of other origins that may call
_database = parse_database_url(env.text("DATABASE_URL", like=EXAMPLE))
if PRODUCTION:
    if len(SECRET_KEY) < 50 or SECRET_KEY.startswith("development-"):
        raise env.wrong("SECRET_KEY", "is missing or short", "at least 50 random characters")
    if "*" in ALLOWED_HOSTS:
        raise ImproperlyConfigured(
            "ALLOWED_HOSTS contains a wildcard; name the hosts that clients use, like todo.example.com."
        )
    if not PUBLIC_URL.startswith("https:"):
        raise env.wrong(
            "PUBLIC_URL", "is missing or not https", "the address that clients use, like https://todo.example.com"
        )
    if _database is None:
        raise env.wrong("DATABASE_URL", "is missing", f"your PostgreSQL, like {EXAMPLE}")

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # urls.py runs autodiscover, so processes without pages skip it
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django.forms",  # its templates of widgets, for FORM_RENDERER
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "oauth2_provider",
    "axes",
    "pgtrigger",
    "pghistory",
    "todo_mcp.users",
    "todo_mcp.auth",
    "todo_mcp.idempotency",
    "todo_mcp.statistics",
    "todo_mcp.quotas",
    "todo_mcp.backup",
    "todo_mcp",
    "tasks",
    "conversations",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "todo_mcp.transports.http.django_middleware.ReadableParameters",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "todo_mcp.admin_kit.page_security.ContentSecurityPolicy",
    "axes.middleware.AxesMiddleware",
    "todo_mcp.admin_kit.given_back.GiveBack",  # within the policies, which its pages need too
    "todo_mcp.transports.http.django_middleware.UnavailableMiddleware",
]
ROOT_URLCONF = "todo_mcp.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).with_name("templates")],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    ["django.template.loaders.filesystem.Loader", "todo_mcp.admin_kit.theme_templates.Loader"],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "todo_mcp.admin_kit.plain_pages.request_number",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # so that widgets use the loaders above
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # nobody uploads files
    "staticfiles": {"BACKEND": "todo_mcp.admin_kit.static_files.HashedNames"},
}
_pooler = "transaction" if _database and _database.is_pooled else "none"
DATABASE_POOLER = env.choice("DATABASE_POOLER", _pooler, ("none", "transaction"))
ROW_LEVEL_SECURITY = env.choice("ROW_LEVEL_SECURITY", "on", ("on", "off")) == "on"  # see postgres/wall.py
TRANSACTION_POOLING = DATABASE_POOLER == "transaction"  # then nothing may stay in a PostgreSQL session
set_libpq_variables(_database)
DATABASES = {"default": database_settings(_database, data_dir=TODO_DATA_DIR, transaction_pooling=TRANSACTION_POOLING)}
DATABASE_URL_IGNORED = _database.ignored if _database else ()  # names of parameters; the log reports them
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "todo_mcp.admin_kit.formats"

# Authentication
AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: a locked name costs no password check
    "todo_mcp.auth.account.attempts.AttemptLimits",
    "django.contrib.auth.backends.ModelBackend",
    "todo_mcp.auth.account.attempts.FailedAttempts",
]
PASSWORD_HASHERS = ["todo_mcp.auth.account.hashers.PasswordHasher", "todo_mcp.auth.account.hashers.RandomSecretHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account:sign_in"
LOGIN_REDIRECT_URL = "admin:index"  # after a sign-in without a `next` page
AXES_USERNAME_FORM_FIELD = "username"  # the form field; axes' default, the model's `id`, would lock nobody
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # True would add each refused attempt to the row of the first
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "todo_mcp.admin_kit.page_security.locked_out"
AXES_CLIENT_IP_CALLABLE = "todo_mcp.auth.rate_limit.client_address"
AXES_VERBOSE = False
PASSWORD_RESET_TIMEOUT = 3600
SCOPES = {
    "tasks:read": "See your tasks",
    "tasks:write": "Add, change, complete and delete your tasks",
    "conversations:read": "Read your stored conversations",
    "conversations:write": "Store and delete your conversations",
    "tasks:act_as": "Act for any user (for a chat backend)",
}
OAUTH2_PROVIDER = oauth_settings(PUBLIC_URL, SCOPES)
# Mail for forgotten passwords. By default, development prints it and production sends none.
globals().update(mail.mail_settings("EMAIL_URL", "dummy://" if PRODUCTION else "console://"))
DEFAULT_FROM_EMAIL = mail.sender("MAIL_FROM", f"todo-mcp@{_public_host}")
EMAIL_TIMEOUT = 5
JWT_ISSUERS = parse_issuers(env.text("JWT_ISSUERS", newlines=True), list(SCOPES))
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "todo_mcp.transports.http.resources.envelope_for",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "todo-mcp",
    "VERSION": __version__,
    "DESCRIPTION": "The five tools as plain HTTP, and conversations for a chat backend. "
    "Paste a token under *Authorize*, then try them here.",
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": "/"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": ["todo_mcp.transports.http.openapi.add_operations"],
    "SWAGGER_UI_SETTINGS": {
        "persistAuthorization": True,
        "displayRequestDuration": True,
        "defaultModelsExpandDepth": 0,
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# Security. An address with https, which production demands, adds the settings that need it.
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "style-src": ["'self'", "'unsafe-inline'"],  # the admin's theme and Swagger UI write style attributes
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "script-src": ["'self'"],
    }
}
CSRF_FAILURE_VIEW = "todo_mcp.admin_kit.given_back.csrf_failure"
SESSION_COOKIE_AGE = 12 * 3600  # from sign-in; activity does not extend it
SESSION_COOKIE_HTTPONLY = True
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SILENCED_SYSTEM_CHECKS = [*SILENCED_CHECKS]
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SILENCED_SYSTEM_CHECKS += ["security.W008"]  # the proxy redirects to https; our port serves http
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
if PUBLIC_URL.startswith("https:"):
    SESSION_COOKIE_SECURE = True
    SESSION_COOKIE_NAME = "__Host-sessionid"  # browsers accept this prefix only over https, from this exact host
    CSRF_COOKIE_SECURE = True
    CSRF_COOKIE_NAME = "__Host-csrftoken"

LOGGING = logging_settings(LOG_LEVEL)
