"""What each user uses, as the workers have counted it."""

from django.conf import settings
from django.db import models


class UserUsage(models.Model):
    """A user's tasks that are not deleted, the stored bytes, and the writes of one day in UTC.

    The workers add to it every second, and count anew now and then. So it may lag by seconds.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="usage"
    )
    tasks = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)
    writes = models.BigIntegerField(default=0)
    day = models.DateField(help_text="The day of the writes, in UTC.")
    tasks_counted_at = models.DateTimeField(null=True)
    bytes_counted_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "user_usage"

    def __str__(self) -> str:
        return f"{self.user_id}: {self.tasks} tasks, {self.bytes} bytes, {self.writes} writes on {self.day}"
