"""Tables for sign-in, in addition to those of django-oauth-toolkit."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

_REFRESH_TOKEN = "oauth2_provider.RefreshToken"  # noqa: S105 # a model


class UsedCode(models.Model):
    """A redeemed authorization code. If it is used again, its tokens are revoked (OAuth 2.1, section 4.1.3)."""

    checksum = models.CharField(primary_key=True, max_length=64, help_text="Hexadecimal SHA-256 of the code.")
    token_family = models.UUIDField(null=True, help_text="The family of the refresh tokens issued for the code.")
    used_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        db_table = "used_codes"

    def __str__(self) -> str:
        return self.checksum


class Successor(models.Model):
    """Which refresh token was used to get another one. Each token has at most one predecessor, but many successors."""

    # The library's AccessToken.source_refresh_token is unique, so it can record only one successor.
    refresh_token = models.OneToOneField(
        _REFRESH_TOKEN, on_delete=models.CASCADE, primary_key=True, related_name="origin", swappable=False
    )
    predecessor = models.ForeignKey(
        _REFRESH_TOKEN, on_delete=models.CASCADE, related_name="successors", swappable=False
    )

    class Meta:
        db_table = "refresh_token_successors"

    def __str__(self) -> str:
        return f"{self.refresh_token_id} after {self.predecessor_id}"


class UsedAssertion(models.Model):
    """An identity assertion that was exchanged for an access token. It works only once.

    The row also says where the token came from, so it stays until both have ended.
    """

    checksum = models.CharField(
        primary_key=True, max_length=64, help_text="Hexadecimal SHA-256 of the issuer and the assertion's jti."
    )
    issuer = models.TextField()
    access_token = models.OneToOneField(
        "oauth2_provider.AccessToken",
        on_delete=models.SET_NULL,  # after a revocation too, the assertion must not work again
        null=True,
        related_name="assertion",
        swappable=False,
    )
    kept_until = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "used_assertions"

    def __str__(self) -> str:
        return self.checksum


class RevokedToken(models.Model):
    """What stays known of an access token that was revoked before it ended. It is erased with its user.

    The checksums find a leaked value later. The other columns are those of the token when it was revoked.
    """

    class By(models.TextChoices):
        OPERATOR = "admin", "an operator"
        PERSON = "person", "the user"
        CLIENT = "client", "the app itself"
        SERVER = "server", "the server"
        COMMAND = "command", "a command"

    REASON_MAX = 200  # characters

    token_id = models.BigIntegerField(primary_key=True, help_text="The id that the access token had.")
    token_checksum = models.CharField(max_length=64, unique=True, help_text="Hexadecimal SHA-256 of the token.")
    refresh_checksum = models.CharField(max_length=64, blank=True, db_index=True, help_text="Of its refresh token.")
    token_family = models.UUIDField(null=True, db_index=True, help_text="The family of its refresh token.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    application = models.ForeignKey(
        "oauth2_provider.Application", on_delete=models.SET_NULL, null=True, related_name="+", swappable=False
    )
    name = models.CharField(max_length=255, blank=True)
    scope = models.TextField(blank=True)
    source = models.TextField()
    created = models.DateTimeField()
    expires = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(default=timezone.now, db_index=True)
    revoked_by = models.CharField(max_length=10, choices=By.choices)
    operator = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    reason = models.CharField(max_length=REASON_MAX, blank=True)

    class Meta:
        db_table = "revoked_tokens"
        default_permissions = ()  # who may see tokens may see these

    def __str__(self) -> str:
        return str(self.token_id)


class ResetRequest(models.Model):
    """A waiting mail for a forgotten password. The address is unverified: anyone may have typed it."""

    id = models.BigAutoField(primary_key=True)
    email = models.CharField(max_length=254)
    asked_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="The number of attempts to send the mail.")
    due_at = models.DateTimeField(default=timezone.now, db_index=True, help_text="The time of the next attempt.")

    class Meta:
        db_table = "reset_requests"
        # One waiting mail for each address is enough.
        constraints = [models.UniqueConstraint(Lower("email"), name="reset_requests_email")]

    def __str__(self) -> str:
        return str(self.pk)


class RateCount(models.Model):
    """How many calls of a user one worker counted in one of its rounds. The table is unlogged: a crash empties it."""

    id = models.BigAutoField(primary_key=True)
    worker = models.BigIntegerField(help_text="A random number.")
    round = models.BigIntegerField()
    key = models.BigIntegerField(help_text="A hash of the user's id.")
    calls = models.IntegerField()
    at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "rate_counts"

    def __str__(self) -> str:
        return f"{self.key}: {self.calls}"
