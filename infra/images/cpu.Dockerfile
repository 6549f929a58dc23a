# Webserver, daemon, code server, and the runs that need no GPU. Built from the root of the repository:
#   docker build --file infra/images/cpu.Dockerfile .
FROM python:3.12.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /src
# Dependencies first: this layer, most of the image, stays the same while only our code changes.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY infra/images/requirements.txt infra/images/
COPY infra/images/install.sh infra/images/
RUN infra/images/install.sh /opt/venv --extra-index-url https://download.pytorch.org/whl/cpu "torch==2.13.0+cpu"
COPY stereo_spot_dagster stereo_spot_dagster
RUN /opt/venv/bin/pip install --no-deps .

FROM python:3.12.11-slim-bookworm

RUN useradd --uid 1000 --create-home stereo \
    && mkdir -p /opt/dagster /tmp/stereo-spot \
    && chown stereo:stereo /opt/dagster /tmp/stereo-spot
COPY --from=build /opt/venv /opt/venv
COPY infra/dagster.yaml infra/workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/opt/dagster \
    STEREO_SPOT_HOME=/tmp/stereo-spot \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /tmp/stereo-spot
# ECS uses the checks of its task definitions; this one is for docker run.
HEALTHCHECK --interval=60s --timeout=20s --start-period=30s CMD ["python", "-c", "import stereo_spot_dagster"]
CMD ["stereo-spot", "doctor"]
