"""The user: a person with tasks, who may also be an operator and sign in to the admin."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Upper
from django.utils import timezone

from todo_mcp.dates.zones import UnknownZone, find_zone

ID_MAX = 255
ZONE_MAX = 64  # characters
RESERVED_IDS = frozenset({"me"})


def validate_id(value: str) -> None:
    """Refuse ids that are hard to send, see or distinguish: reserved ids, spaces at an end, unprintable characters."""
    if value in RESERVED_IDS:
        raise ValidationError(
            '"%(value)s" is reserved: it means the caller. Choose another id.', params={"value": value}
        )
    if value != value.strip() or not value.isprintable():
        raise ValidationError("An id must not begin or end with a space or contain control characters.")


def validate_time_zone(value: str) -> None:
    """Refuse what is no IANA name, in its exact spelling."""
    try:
        name = str(find_zone(value))
    except UnknownZone as error:
        raise ValidationError(str(error)) from None
    if name != value:
        raise ValidationError("Write %(name)s.", params={"name": name})


def exact_zone(value: str) -> str:
    """The exact spelling of a time zone's name. An unknown name is returned as it is, for the validator to refuse."""
    try:
        return str(find_zone(value)) if value else ""
    except UnknownZone:
        return value


class UserManager(BaseUserManager["User"]):
    def create_user(self, id: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user. Without a password, the user cannot sign in to the admin."""
        user = self.model(id=id, **fields)
        user.set_password(password)
        user.full_clean()
        user.save(force_insert=True)
        return user

    def create_superuser(self, id: str, password: str | None = None, **fields: Any) -> "User":
        """Create a user who may do everything in the admin."""
        return self.create_user(id, password, **{**fields, "is_staff": True, "is_superuser": True})


class User(AbstractBaseUser, PermissionsMixin):
    """A user. The operator or the identity provider chooses the id. Ids compare byte for byte."""

    id = models.CharField("user id", primary_key=True, max_length=ID_MAX, db_collation="C", validators=[validate_id])
    name = models.CharField(max_length=200, blank=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(
        default=True, help_text="Clear this to refuse the user from the next call on; nothing is deleted."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May sign in to the admin.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    time_zone = models.CharField(
        max_length=ZONE_MAX,
        default="",
        db_default="",
        blank=True,
        validators=[validate_time_zone],
        help_text="The zone in which the person's days and times are read, such as Europe/Berlin. Empty: not known.",
    )

    objects = UserManager()

    USERNAME_FIELD = "id"
    EMAIL_FIELD = "email"

    class Meta:
        db_table = "users"
        ordering = ["id"]
        constraints = [models.CheckConstraint(name="users_id_not_empty", condition=~models.Q(id=""))]
        indexes = [
            models.Index(fields=["created_at"], name="users_created"),  # counts new users per day
            models.Index(Upper("email"), name="users_email"),  # finds the user of a forgotten password
            models.Index(fields=["time_zone"], name="users_zone"),  # which zones are in use, and whose 9 o'clock it is
        ]

    def __str__(self) -> str:
        return self.id

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """The id, unchanged. Django's default would treat ids that are compatible in Unicode as one user."""
        return username

    def get_full_name(self) -> str:
        return self.name or self.id


class LogSubject(models.Model):
    """The user whom an entry of the operators' log is about. The entry of an erasure outlives its user."""

    entry = models.OneToOneField("admin.LogEntry", models.CASCADE, primary_key=True, related_name="subject")
    user_id = models.CharField(max_length=ID_MAX, db_collation="C")

    class Meta:
        db_table = "log_subjects"
        indexes = [models.Index(fields=["user_id", "-entry"], name="log_subjects_user")]

    def __str__(self) -> str:
        return f"{self.entry_id}: {self.user_id}"
