"""Call statistics, recent refused calls, and the last use and the calls of each token.

Call statistics contain no user, no argument and no token. A client's name is self-reported.
"""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class CallStatistics(models.Model):
    """The calls of one hour with the same tool, outcome, client, revision and transport.

    A request that is refused before any tool runs has no tool, and its HTTP status is the outcome.
    """

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField(help_text="The start of the hour, in UTC.")
    tool = models.CharField(max_length=40, blank=True)
    outcome = models.CharField(max_length=40, help_text='"success", the name of the error, or an HTTP status.')
    client = models.CharField(max_length=100, blank=True)
    revision = models.CharField(max_length=20, blank=True, help_text="The MCP revision; empty for other transports.")
    transport = models.CharField(max_length=10)
    calls = models.BigIntegerField()
    milliseconds_total = models.FloatField()
    milliseconds_max = models.FloatField()
    slowest_request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "call_statistics"
        verbose_name_plural = "call statistics"
        constraints = [
            # The hour comes first, so that this index serves every report: each is about the last days.
            models.UniqueConstraint(
                fields=["hour", "tool", "outcome", "client", "revision", "transport"], name="call_statistics_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.tool or 'refused'} {self.outcome}: {self.calls}"


class TokenUse(models.Model):
    """The time of a token's last use, to within 5 minutes. It is deleted with the token."""

    token = models.OneToOneField(
        "oauth2_provider.AccessToken",
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="+",
        db_constraint=False,
    )  # the foreign key of migration 0001 cascades in the database: revoking must not wait for the write of a use
    last_used_at = models.DateTimeField()

    class Meta:
        db_table = "token_uses"

    def __str__(self) -> str:
        return f"{self.token_id}: {self.last_used_at}"


class TokenDay(models.Model):
    """The calls with one token on one day (UTC) from one client. It outlives the token, but not its user."""

    id = models.BigAutoField(primary_key=True)
    token_id = models.BigIntegerField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    day = models.DateField(db_index=True)
    client = models.CharField(max_length=100, blank=True)
    reads = models.BigIntegerField()
    writes = models.BigIntegerField()
    refused = models.BigIntegerField()
    failed = models.BigIntegerField()

    class Meta:
        db_table = "token_days"
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["token_id", "day", "client"], name="token_days_key")]

    def __str__(self) -> str:
        return f"{self.token_id} on {self.day}"


class RefusedCall(models.Model):
    """A call that was refused or failed after its caller was known. It is kept for 7 days.

    ``user`` is the user whose data the call was about; None if a service named no user who exists. The token may be
    revoked meanwhile; ``token_id`` is None for a JWT and for a command.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    user = models.ForeignKey("users.User", on_delete=models.CASCADE, null=True, related_name="+")
    token_id = models.BigIntegerField(null=True)
    token_name = models.CharField(max_length=255, blank=True)
    client = models.CharField(max_length=100, blank=True)
    tool = models.CharField(max_length=40)
    outcome = models.CharField(max_length=40, help_text="The name of the error.")
    transport = models.CharField(max_length=10)
    fields = ArrayField(
        models.CharField(max_length=100), help_text='The names of fields that were wrong; "unknown" for any other name.'
    )
    request_id = models.CharField(max_length=64)

    class Meta:
        db_table = "refused_calls"
        default_permissions = ()  # the permission for call statistics shows these calls too
        indexes = [
            models.Index(fields=["at"], name="refused_calls_time"),
            models.Index(fields=["request_id"], name="refused_calls_request"),
        ]

    def __str__(self) -> str:
        return f"{self.tool} {self.outcome}: {self.request_id}"
