#!/bin/bash
# First start of a GPU machine. Nothing here may keep the ECS agent from starting: a machine without cached weights is slow,
# a machine without that agent is paid for and useless.
set -u

cat > /etc/ecs/ecs.config <<'CONFIG'
ECS_CLUSTER=@CLUSTER@
ECS_ENABLE_GPU_SUPPORT=true
ECS_ENABLE_SPOT_INSTANCE_DRAINING=true
ECS_AWSVPC_BLOCK_IMDS=true
ECS_CONTAINER_STOP_TIMEOUT=110s
ECS_IMAGE_PULL_BEHAVIOR=prefer-cached
ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION=10m
CONFIG

# The machine's own NVMe disk, where it has one: 250 GB on a g5.xlarge, and free.
disk=$(lsblk --noheadings --nodeps --output PATH,MODEL | awk '/Instance Storage/ {print $1; exit}')
mkdir -p @FOLDER@
if [ -n "$disk" ] && ! mountpoint --quiet @FOLDER@; then
    mkfs.xfs -f -q "$disk" && mount -o noatime "$disk" @FOLDER@
fi
mkdir -p @FOLDER@/weights @FOLDER@/hub @FOLDER@/work
chown -R @USER@:@USER@ @FOLDER@

# A run that was killed leaves its files; nobody reads them a day later.
echo "d @FOLDER@/work 0750 @USER@ @USER@ 1d" > /etc/tmpfiles.d/stereo-spot.conf

# Over the gateway endpoint this costs nothing; from the hub each new machine would fetch 8 GB through the NAT gateway.
command -v aws > /dev/null || dnf install --assumeyes --quiet awscli-2 || true
timeout 600 aws s3 sync --only-show-errors "@WEIGHTS@" @FOLDER@/weights ||
    echo "stereo-spot: the weights could not be copied; runs fetch them from the hub"
chown -R @USER@:@USER@ @FOLDER@/weights
