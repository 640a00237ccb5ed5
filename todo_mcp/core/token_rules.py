"""The rules that the credentials of a request must meet."""

from enum import StrEnum


class TokenRule(StrEnum):
    """The rule that refused credentials. Only the log and a metric have it: every caller gets the same answer.

    docs/monitoring.md explains each rule.
    """

    NO_CREDENTIALS = "no_credentials"
    HEADER = "header"
    MALFORMED = "token_malformed"
    UNKNOWN = "token_unknown"
    EXPIRED = "token_expired"
    AUDIENCE = "token_audience"
    USER_UNKNOWN = "user_unknown"
    USER_DEACTIVATED = "user_deactivated"

    JWT_MALFORMED = "jwt_malformed"
    JWT_ISSUER = "jwt_issuer"
    JWT_ALGORITHM = "jwt_algorithm"
    JWT_EXTENSION = "jwt_extension"
    JWT_TYPE = "jwt_type"
    JWT_KEY = "jwt_key"
    JWT_SIGNATURE = "jwt_signature"
    JWT_CLAIMS = "jwt_claims"
    JWT_AUDIENCE = "jwt_audience"
    JWT_EXPIRED = "jwt_expired"
    JWT_NOT_YET_VALID = "jwt_not_yet_valid"
    JWT_LIFETIME = "jwt_lifetime"
    JWT_PURPOSE = "jwt_purpose"
    JWT_CLIENT = "jwt_client"
    JWT_RESOURCE = "jwt_resource"
    JWT_SCOPE = "jwt_scope"
    JWT_REPLAYED = "jwt_replayed"

    METRICS_TOKEN = "metrics_token"  # noqa: S105 (a name, not a token)
    SCIM_TOKEN = "scim_token"  # noqa: S105 (a name, not a token)
    OAUTH_CLIENT = "oauth_client"
    NOT_A_SERVICE = "not_a_service"
