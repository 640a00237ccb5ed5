"""`make soak`: a million calls of all tools in turn to one worker; exit code 1 if its memory grows."""

import argparse

from tests.benchmarks import servers, wrk
from tests.benchmarks.servers import USER, Target
from tests.support.mcp_messages import MODERN

PORT = 5113
SECONDS = 10  # of load between two measurements of the memory
WARM_UP = 0.1  # of all calls; after them every thread has made every kind of call
GROWTH_MAX = 4.0  # MiB after the warm-up
ERAS = (MODERN, "http")
FIRST_ID = 201  # a task is completed 100 updates after its own update, and deleted 200 updates after it


def soak(target: Target, calls: int) -> float:
    """The growth of the server's memory after the warm-up, in MiB."""
    call_count, first_id, sizes = 0, FIRST_ID, list[float]()
    while call_count < calls:
        for era in ERAS:
            result = wrk.load(target, era=era, tool="mix", user=USER, first_id=first_id, seconds=SECONDS)
            count = int(result["requests"])
            call_count, first_id = call_count + count, first_id + count // 5 + FIRST_ID
        memory = target.memory_mib()
        print(f"{call_count:12,} calls{memory:9.1f} MiB", flush=True)
        if call_count >= calls * WARM_UP:
            sizes.append(memory)
    return sizes[-1] - sizes[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    options = parser.parse_args()
    url = servers.create_database(servers.start_postgresql("soak"), "ours")
    tokens = servers.prepare_ours(url)
    with servers.serving("soak", PORT, url, tokens, LOG_LEVEL="WARNING") as target:
        growth = soak(target, options.calls)
    print(f"The memory grew by {growth:.1f} MiB after the warm-up; the limit is {GROWTH_MAX} MiB.")
    if growth > GROWTH_MAX:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
