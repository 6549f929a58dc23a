"""What all assets have in common."""

import dagster as dg

OWNERS = ["team:stereo-spot"]
# For errors of our own that may pass (a store that does not answer); bad input says itself that it is not retried.
RETRIES = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
