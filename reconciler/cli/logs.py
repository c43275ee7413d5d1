"""Log records as JSON lines."""

import json
import logging
from datetime import UTC, datetime


class JsonLines(logging.Formatter):
    """One object a line: at, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON, without the traceback's locals."""
        row = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(row)
