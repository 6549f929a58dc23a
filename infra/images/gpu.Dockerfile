# The runs that need a GPU. Built from the root of the repository:
#   docker build --file infra/images/gpu.Dockerfile .
# Weights are not in it: gigabytes with licences of their own, which the machines keep on their disk.
FROM nvidia/cuda:13.0.1-base-ubuntu24.04 AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
# Which patch of Python is no matter, and Ubuntu removes old ones from its mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
WORKDIR /src
# Dependencies first: this layer, most of the image, stays the same while only our code changes.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY infra/images/requirements.txt infra/images/
COPY infra/images/install.sh infra/images/
# PyPI's torch for Linux is the CUDA 13.0 one; it brings CUDA's libraries along, so the base has only the driver's hooks.
RUN infra/images/install.sh /opt/venv "torch==2.13.0"
COPY stereo_spot_dagster stereo_spot_dagster
RUN /opt/venv/bin/pip install --no-deps .

FROM nvidia/cuda:13.0.1-base-ubuntu24.04

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
# Ubuntu's images have a user 1000 already.
RUN userdel --remove ubuntu \
    && useradd --uid 1000 --create-home stereo \
    && mkdir -p /opt/dagster /var/lib/stereo-spot \
    && chown stereo:stereo /opt/dagster /var/lib/stereo-spot
COPY --from=build /opt/venv /opt/venv
COPY infra/dagster.yaml infra/workspace.yaml /opt/dagster/
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/opt/dagster \
    STEREO_SPOT_HOME=/var/lib/stereo-spot/work \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /var/lib/stereo-spot
# ECS uses the checks of its task definitions; this one is for docker run.
HEALTHCHECK --interval=60s --timeout=20s --start-period=30s CMD ["python3", "-c", "import stereo_spot_dagster"]
CMD ["stereo-spot", "doctor"]
