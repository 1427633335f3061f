# Onelook as a container. By itself it refuses to listen to other machines without a safe transport (docs/settings.md):
# give it a certificate, or start it with `docker compose up`, which puts a TLS proxy before it.

FROM python:3.11-slim AS build

# torch comes in several builds under one version. pip's own index gives, for Linux, the one with CUDA: gigabytes of it.
# The index of the CPU build is named on PyTorch's page "Get started" (pytorch.org), under pip and CPU, as --index-url:
#     docker build --build-arg EXTRA_PIP_INDEX=<that address> -t onelook .
# pip then prefers the CPU build, whose version `2.13.0+cpu` counts as the newer one.
ARG EXTRA_PIP_INDEX=""

RUN python -m venv /opt/onelook/venv
WORKDIR /opt/onelook/source
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY models models
COPY migrations migrations
# Editable, as `make run` does it: what runs is this very tree, weights and operating points beside the code.
RUN /opt/onelook/venv/bin/python -m pip install --no-cache-dir --editable . \
    ${EXTRA_PIP_INDEX:+--extra-index-url "$EXTRA_PIP_INDEX"}


FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /var/lib/onelook --shell /usr/sbin/nologin onelook \
    && install --directory --mode 700 --owner onelook --group onelook /var/lib/onelook
COPY --from=build /opt/onelook /opt/onelook
COPY docker/alive.py /opt/onelook/alive.py

ENV PATH=/opt/onelook/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ONELOOK_HOME=/var/lib/onelook \
    ONELOOK_HOST=0.0.0.0
USER onelook
WORKDIR /var/lib/onelook
VOLUME /var/lib/onelook
EXPOSE 8000

# Loading the networks and measuring the precision takes seconds before the port opens.
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 CMD ["python", "/opt/onelook/alive.py"]
# The shell would not pass SIGTERM on; this form has none.
CMD ["onelook", "serve"]
