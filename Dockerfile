# The command in an image, for systems that run containers. Nothing of a build stays in it.
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS build
WORKDIR /source
COPY requirements.lock requirements-build.lock pyproject.toml README.md LICENSE ./
COPY reconciler reconciler
COPY schemas schemas
COPY examples/acme/seed.yaml examples/acme/seed.yaml
RUN python -I -m venv /opt/build \
    && /opt/build/bin/python -I -m pip install --no-cache-dir --require-hashes --requirement requirements-build.lock \
    && /opt/build/bin/python -I -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .
RUN python -I -m venv /opt/reconciler \
    && /opt/reconciler/bin/python -I -m pip install --no-cache-dir --require-hashes --requirement requirements.lock \
    && /opt/reconciler/bin/python -I -m pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
# git comes from the image's Debian release; the program only calls it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 reconciler
COPY --from=build /opt/reconciler /opt/reconciler
ENV PATH=/opt/reconciler/bin:$PATH
USER 10001
WORKDIR /config
ENTRYPOINT ["reconciler"]
CMD ["--help"]
