"""Tables for sign-in, in addition to those of django-oauth-toolkit."""

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class UsedCode(models.Model):
    """A redeemed authorization code. If it is used again, its tokens are revoked (OAuth 2.1, section 4.1.3)."""

    checksum = models.CharField(primary_key=True, max_length=64, help_text="Hexadecimal SHA-256 of the code.")
    token_family = models.UUIDField(null=True, help_text="The family of the refresh tokens issued for the code.")
    used_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        db_table = "used_codes"

    def __str__(self) -> str:
        return self.checksum


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
