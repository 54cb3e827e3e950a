"""Holds every backend that works on this machine to the contract."""

from __future__ import annotations

from contract import *  # noqa: F403 - its tests are the tests of this file
from contract_limits import *  # noqa: F403
from contract_machine import *  # noqa: F403
from contract_service import *  # noqa: F403
