"""An idempotency key answers for one request: another body with the same key is refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.domain.same_request import is_same
from test.api.client import START, Api, a_service
from test.support.ports import closed_port
