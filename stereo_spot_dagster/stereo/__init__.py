"""Pictures in, pictures out: depth, warping, occlusion filling, layouts. Knows no files."""
