"""The five assets, one file each."""
