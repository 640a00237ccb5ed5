"""Idempotency keys with their first results."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class IdempotencyKey(models.Model):
    """A user's key and the first result of its call, valid for 24 hours."""

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    operation = models.CharField(max_length=40)
    key = models.CharField(max_length=64)
    fingerprint = models.BinaryField(max_length=32, help_text="SHA-256 of the arguments.")
    result = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        db_table = "idempotency_keys"
        constraints = [
            models.UniqueConstraint(fields=["user", "operation", "key"], name="idempotency_keys_user_operation_key")
        ]

    def __str__(self) -> str:
        return self.key
