# One image for every role; the command picks it:
#   python -m api.server | python -m ingest | python -m processor | python -m runtime.provision | sluice kibana
FROM python:3.12-slim AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/build.txt
RUN pip install --require-hashes --requirement requirements/build.txt
# What of it goes into the image, pyproject.toml says.
COPY . .
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheel .

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

# Without the extras: neither the local stack's Java nor made-up rows have a place here.
COPY requirements/core.txt /tmp/requirements/core.txt
RUN pip install --require-hashes --requirement /tmp/requirements/core.txt
COPY --from=wheel /wheel /tmp/wheel
RUN pip install --no-deps --no-index /tmp/wheel/*.whl

ENV SLUICE_HOME=/var/lib/sluice \
    SLUICE_STORAGE=/var/lib/sluice/storage \
    SLUICE_READY_FILE=/tmp/sluice.ready \
    SLUICE_API_HOST=0.0.0.0

USER 10001:10001
WORKDIR /var/lib/sluice
EXPOSE 8080
CMD ["python", "-m", "api.server"]
