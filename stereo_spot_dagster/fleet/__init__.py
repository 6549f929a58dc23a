"""Dagster on AWS: runs as ECS tasks, on machines with a GPU where they need one."""
