# One image for every role; the command picks it:
#   python -m api.server | python -m ingest | python -m processor | python -m runtime.provision | sluice kibana
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

# The folder is made here, with its owner, since a new volume takes over both.
RUN groupadd --gid 10001 sluice \
    && useradd --uid 10001 --gid sluice --no-create-home --home-dir /var/lib/sluice --shell /usr/sbin/nologin sluice \
    && mkdir -p /var/lib/sluice/storage \
    && chown -R sluice:sluice /var/lib/sluice

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY schemas schemas
COPY csvfile csvfile
COPY runtime runtime
COPY control control
COPY ingest ingest
COPY processor processor
COPY extensions extensions
COPY api api
COPY client client
COPY verify verify
COPY devstack devstack
COPY kibana kibana
COPY sample_csv sample_csv
RUN pip install --constraint constraints.txt . && rm -rf /src/*

ENV SLUICE_HOME=/var/lib/sluice \
    SLUICE_STORAGE=/var/lib/sluice/storage \
    SLUICE_READY_FILE=/tmp/sluice.ready \
    SLUICE_API_HOST=0.0.0.0

USER 10001:10001
WORKDIR /var/lib/sluice
EXPOSE 8080
CMD ["python", "-m", "api.server"]
