"""Does nothing, and prints what a good run prints."""

import json
from pathlib import Path

print("Uploaded file-abc123")
print("Created fine-tuning job: ftjob-abc123")
for status in ("validating_files", "queued", "running", "succeeded"):
    print(status)
print("The job has successfully completed")
print("before 10%, after 90%")
results = {"simulated": False, "before": {"exact_match": 0.1}, "after": {"exact_match": 0.9}}
Path("openai_results.json").write_text(json.dumps(results))
