"""The plain design: the SDK's MCPServer over async SQLModel and asyncpg. No authentication, no history, no limits.

What a competent developer writes from the SDK's and SQLModel's documentation: one session a call, commit, refresh.
"""

import os
from datetime import UTC, datetime
from typing import Any

from mcp.server import MCPServer
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Field, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=16, max_overflow=0)
mcp = MCPServer("plain", log_level="ERROR")


class Task(SQLModel, table=True):
    __tablename__ = "tasks"

    id: int | None = Field(default=None, primary_key=True)
    user_id: str = Field(index=True)
    title: str = Field(max_length=200)
    description: str = ""
    completed: bool = False
    created_at: datetime
    updated_at: datetime


def now() -> datetime:
    return datetime.now(UTC)


def envelope(data: dict[str, Any], message: str) -> dict[str, Any]:
    return {"status": "success", "data": data, "message": message}


async def get_task(session: AsyncSession, user_id: str, task_id: int) -> Task:
    rows = await session.exec(select(Task).where(Task.id == task_id, Task.user_id == user_id))
    task = rows.one_or_none()
    if task is None:
        raise ValueError(f"No task {task_id}.")
    return task


@mcp.tool()
async def add_task(user_id: str, title: str, description: str = "") -> dict[str, Any]:
    """Add one task."""
    async with AsyncSession(engine) as session:
        task = Task(user_id=user_id, title=title, description=description, created_at=now(), updated_at=now())
        session.add(task)
        await session.commit()
        await session.refresh(task)
        data = {"task_id": task.id, "title": task.title, "created_at": task.created_at.isoformat()}
        return envelope(data, f"Added task {task.id}.")


@mcp.tool()
async def list_tasks(user_id: str, status: str = "all", limit: int = 50) -> dict[str, Any]:
    """List tasks, newest first."""
    async with AsyncSession(engine) as session:
        query = select(Task).where(Task.user_id == user_id).order_by(Task.id.desc()).limit(limit)  # type: ignore[union-attr]
        if status != "all":
            query = query.where(Task.completed == (status == "completed"))
        tasks = (await session.exec(query)).all()
        rows = [
            {
                "task_id": task.id,
                "title": task.title,
                "description": task.description,
                "completed": task.completed,
                "created_at": task.created_at.isoformat(),
                "updated_at": task.updated_at.isoformat(),
            }
            for task in tasks
        ]
        return envelope({"tasks": rows, "returned": len(rows)}, f"{len(rows)} tasks.")


@mcp.tool()
async def complete_task(user_id: str, task_id: int) -> dict[str, Any]:
    """Complete one task."""
    async with AsyncSession(engine) as session:
        task = await get_task(session, user_id, task_id)
        task.completed = True
        task.updated_at = now()
        session.add(task)
        await session.commit()
        await session.refresh(task)
        return envelope({"task_id": task.id, "updated_at": task.updated_at.isoformat()}, "Completed.")


@mcp.tool()
async def update_task(
    user_id: str, task_id: int, title: str | None = None, description: str | None = None
) -> dict[str, Any]:
    """Update one task."""
    async with AsyncSession(engine) as session:
        task = await get_task(session, user_id, task_id)
        changes = {"title": title, "description": description}
        fields = [name for name, value in changes.items() if value is not None]
        for name in fields:
            setattr(task, name, changes[name])
        task.updated_at = now()
        session.add(task)
        await session.commit()
        await session.refresh(task)
        return envelope({"task_id": task.id, "updated_fields": fields}, "Updated.")


app = mcp.streamable_http_app(stateless_http=True, json_response=True)
