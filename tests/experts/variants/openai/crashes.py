"""Ends with an exit code other than 0, whatever happens, and with every message there is."""

import sys

print("The job failed due to an internal error. internal_error training_not_available 403")
sys.exit("401 invalid_api_key: the key is wrong. simulated simulation")
