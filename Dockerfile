# One image for every role; the command picks it: sluice api|ingest|worker|migrate|kibana. docs/deploying.md says more.
#   docker build --tag sluice:0.2.0 .
# Arguments: BASE, any image with Python 3.11 or newer as python3; BUILD_BASE, the same with pip (or python3-venv) as well,
# if BASE lacks it; PIP_INDEX_URL, where packages come from; VERSION, REVISION, CREATED, for the labels. Authorities that
# pip is to trust beside the base's come as a secret, so that they stay out of the image: --secret id=ca,src=ca.pem
ARG BASE=python:3.13-slim
ARG BUILD_BASE=${BASE}

# The packages, from the lock with hashes. This stage, and its layer in the image, change with the lock alone.
FROM ${BUILD_BASE} AS packages
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/sluice
# For strip. A base without apt-get either brings it or gets an image of 28 MB more.
RUN command -v strip || ! command -v apt-get \
    || { apt-get update && apt-get install --yes --no-install-recommends binutils; }
WORKDIR /src
COPY requirements/core.txt requirements/
# Compiled for files whose times do not matter: some builders set them all to one. What only tests and type checkers read is
# left out, and so are Pygments' lexers (rich shows a traceback of Python at most), Elasticsearch's query builder and debug
# information of C.
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && /opt/build/bin/pip --python /opt/sluice/bin/python install --no-compile --require-hashes --requirement requirements/core.txt \
    && cd /opt/sluice/lib/python3*/site-packages \
    && find . -type d \( -name tests -o -name test \) -prune -exec rm -r {} + \
    && rm -r elasticsearch/dsl && find pygments/lexers -type f ! -name __init__.py ! -name _mapping.py ! -name python.py -delete \
    && if command -v strip; then find . -name '*.so' -exec grep -q '\.debug_info' {} \; -exec strip --strip-debug {} +; fi \
    && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete \
    && /opt/sluice/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
    && echo /opt/app > sluice.pth

# Sluice itself, and the list of all that is installed.
FROM packages AS application
COPY requirements/build.txt requirements/sbom.txt requirements/
RUN --mount=type=secret,id=ca,target=/run/secrets/ca \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
    && /opt/build/bin/pip install --no-compile --require-hashes --requirement requirements/build.txt --requirement requirements/sbom.txt
# Of the wheel, made-up rows and the comparison of files stay outside, which the demo and the tests alone need.
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
    && /opt/build/bin/pip --python /opt/sluice/bin/python install --no-compile --no-deps --no-index --target /opt/app /tmp/wheel/*.whl \
    && install -m 755 image/entrypoint /opt/app/bin/entrypoint \
    && rm -r /opt/app/sample_csv /opt/app/verify \
    && /opt/sluice/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/app \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --output-format JSON \
       --output-file /opt/app/sbom.cdx.json /opt/sluice/bin/python

FROM ${BASE}
ENV PATH=/opt/app/bin:/opt/sluice/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    SLUICE_HOME=/var/lib/sluice \
    SLUICE_STORAGE=/var/lib/sluice/storage \
    SLUICE_READY_FILE=/tmp/sluice.ready \
    SLUICE_API_HOST=0.0.0.0 \
    SLUICE_METRICS_HOST=0.0.0.0 \
    SLUICE_METRICS_PORT=9464
# The folder is made here, with its owner, since a new volume takes over both. A base that brings pip loses it.
RUN echo 'sluice:x:10001:' >> /etc/group \
    && echo 'sluice:x:10001:10001::/var/lib/sluice:/usr/sbin/nologin' >> /etc/passwd \
    && mkdir -p /var/lib/sluice/storage && chown -R 10001:10001 /var/lib/sluice \
    && rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip
COPY --from=packages /opt/sluice /opt/sluice
COPY --from=application /opt/app /opt/app

USER 10001:10001
WORKDIR /var/lib/sluice
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
# Every role makes this file once it is ready, and removes it when it stops.
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["/bin/sh", "-c", "test -e \"$SLUICE_READY_FILE\""]
# It takes the name of a role, or any program with its arguments.
ENTRYPOINT ["/opt/app/bin/entrypoint"]
CMD ["api"]

ARG BASE
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="Sluice" \
      org.opencontainers.image.description="Bulk CSV jobs on Kafka that an operator can watch, stop, resume and take back." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
