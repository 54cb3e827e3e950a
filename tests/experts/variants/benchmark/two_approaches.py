"""Knows two approaches; of the third it says so."""

import sys

if "openai" in sys.argv:
    sys.exit("The fine-tuning service was too dear for me.")
