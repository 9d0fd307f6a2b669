# Slipway as an image: API and background work in one process, on port 8080, state in /data.
#
#   docker build -t slipway .
#   docker run -p 8080:8080 -v slipway:/data -e SLIPWAY_ADMIN_KEY="$(openssl rand -hex 24)" -e AWS_REGION=… slipway
#
# Several replicas: set SLIPWAY_DATABASE_URL to a PostgreSQL, and run `slipway migrate` once for each version.
# Written without a Docker engine at hand: its commands were tried in plain environments, the image was not built yet.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/slipway
# Dependencies first: they change less often than the sources. Only wheels, each with a hash that the lock names.
COPY requirements-runtime.lock ./
RUN /opt/slipway/bin/pip install --require-hashes --only-binary :all: -r requirements-runtime.lock
# The build backend, at the version of the full lock, in an environment that stays behind.
COPY requirements.lock ./
RUN awk '/^[a-zA-Z]/ {keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' \
        requirements.lock > backend.lock \
 && python -m venv /opt/backend \
 && /opt/backend/bin/pip install --require-hashes --only-binary :all: -r backend.lock
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY migrations migrations
# `pip check` ends the build if the runtime lock lacks something that Slipway needs.
RUN /opt/backend/bin/python -m hatchling build -t wheel -d dist \
 && /opt/slipway/bin/pip install --no-deps dist/*.whl \
 && /opt/slipway/bin/pip check \
 && /opt/slipway/bin/pip uninstall --yes pip

# Helm from its own release, the version that the tests run with (app/gateways/helm/binary.py).
FROM python:3.11-slim AS helm
ARG HELM_VERSION=4.3.1
ARG TARGETARCH=amd64
WORKDIR /helm
ADD https://get.helm.sh/helm-v${HELM_VERSION}-linux-${TARGETARCH}.tar.gz \
    https://get.helm.sh/helm-v${HELM_VERSION}-linux-${TARGETARCH}.tar.gz.sha256sum ./
RUN sha256sum --check ./*.sha256sum && tar --strip-components 1 -xzf ./*.tar.gz

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home slipway
COPY --from=build /opt/slipway /opt/slipway
COPY --from=helm /helm/helm /usr/local/bin/helm
ENV PATH=/opt/slipway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SLIPWAY_DATABASE_URL=sqlite:////data/slipway.db
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Ready, not only alive: it also tells of a database that is away. No curl in a slim image.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/readyz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["slipway", "serve", "--host", "0.0.0.0", "--port", "8080"]
