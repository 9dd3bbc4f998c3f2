"""The work on machines on a Dask cluster, instead of in threads."""
