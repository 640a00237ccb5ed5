"""A chat backend that adds a task for one of its users. It signs a token for that user only, valid for five minutes."""

import os
import sys
import time

import httpx2
import jwt

URL = os.environ.get("TODO_URL", "http://localhost:5000")
SECRET = os.environ.get("CHAT_SECRET") or sys.exit("Set CHAT_SECRET to the secret of the issuer in JWT_ISSUERS.")


def token_for(user_id: str) -> str:
    now = int(time.time())
    claims = {"iss": "chat", "aud": "todo", "sub": user_id, "act": {"sub": "chat"}, "iat": now, "exp": now + 300}
    return jwt.encode(claims, SECRET, "HS256")


def call(user_id: str, tool: str, **arguments: object) -> str:
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    response = httpx2.post(f"{URL}/api/tools/{tool}", json=arguments, headers=headers, timeout=10)
    return str(response.json()["message"])


if len(sys.argv) != 3:
    sys.exit("Name the user and the title of a task, such as: alice 'Call the bank'.")
user, title = sys.argv[1:]
print(call(user, "add_task", title=title))
print(call(user, "list_tasks", status="pending"))
