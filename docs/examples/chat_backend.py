"""A chat backend that adds a task for one of its users. It signs a token for that user only, valid for five minutes."""

import os
import sys
import time

import httpx2
import jwt


def token_for(user_id: str) -> str:
    now = int(time.time())
    claims = {"iss": "chat", "aud": "todo", "sub": user_id, "act": {"sub": "chat"}, "iat": now, "exp": now + 300}
    return jwt.encode(claims, os.environ["CHAT_SECRET"], "HS256")


def call(user_id: str, tool: str, **arguments: object) -> str:
    address = os.environ.get("TODO_URL", "http://localhost:5000")
    headers = {"Authorization": f"Bearer {token_for(user_id)}"}
    response = httpx2.post(f"{address}/api/tools/{tool}", json=arguments, headers=headers, timeout=10)
    return str(response.json()["message"])


user, title = sys.argv[1:3]
print(call(user, "add_task", title=title))
print(call(user, "list_tasks", status="pending"))
