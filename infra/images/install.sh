#!/bin/sh
# Install everything but the package itself into a virtual environment, at the versions that the tests ran with.
# usage: install.sh VENV PIP-ARGUMENT...   (the arguments name the build of torch)
set -eu
venv=$1
shift
# setuptools finds the package by its folder; an empty one stands for it, so that code changes leave this layer alone.
mkdir -p stereo_spot_dagster
touch stereo_spot_dagster/__init__.py
"$venv/bin/pip" install --constraint constraints.txt --requirement infra/images/requirements.txt "$@" ".[aws,models,alerts]"
"$venv/bin/pip" uninstall --yes --quiet stereo-spot-dagster
