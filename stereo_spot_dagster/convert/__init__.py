"""One segment through decode, depth, warp, fill, layout and encode. Knows no Dagster."""
