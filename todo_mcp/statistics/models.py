"""What the workers count. No user, no argument and no token is in it; a client's name is what it says of itself."""

from django.db import models


class CallStatistics(models.Model):
    """The calls of an hour that are alike. A request refused before any tool has no tool, and its status as outcome."""

    id = models.BigAutoField(primary_key=True)
    hour = models.DateTimeField(help_text="When the hour began, UTC.")
    tool = models.CharField(max_length=40, blank=True)
    outcome = models.CharField(max_length=40, help_text='"success", the name of the error, or an HTTP status.')
    client = models.CharField(max_length=100, blank=True)
    revision = models.CharField(max_length=20, blank=True, help_text="Of MCP, where the call came over it.")
    transport = models.CharField(max_length=10)
    calls = models.BigIntegerField()
    milliseconds_total = models.FloatField()
    milliseconds_max = models.FloatField()
    slowest_request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        db_table = "call_statistics"
        verbose_name_plural = "call statistics"
        constraints = [
            # The hour comes first: its index serves every question, which is about the last days.
            models.UniqueConstraint(
                fields=["hour", "tool", "outcome", "client", "revision", "transport"], name="call_statistics_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.tool or 'refused'} {self.outcome}: {self.calls}"


class TokenUse(models.Model):
    """When a token was last used, to within 5 minutes. It goes with the token."""

    token = models.OneToOneField(
        "oauth2_provider.AccessToken",
        on_delete=models.DO_NOTHING,
        primary_key=True,
        related_name="+",
        db_constraint=False,
    )  # the database's constraint cascades by itself (migration 0001): revoking must not wait for a use to be written
    last_used_at = models.DateTimeField()

    class Meta:
        db_table = "token_uses"

    def __str__(self) -> str:
        return f"{self.token_id}: {self.last_used_at}"
