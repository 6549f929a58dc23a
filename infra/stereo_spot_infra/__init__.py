"""Stereo-Spot on AWS: buckets, database, GPU fleet, services, and what watches over them."""
