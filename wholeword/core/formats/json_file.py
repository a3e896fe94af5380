"""JSON objects in files of other tools, of a size that a hostile file cannot exceed."""

import json
from pathlib import Path
from typing import Any

from wholeword.core.errors import UserError

MOST_JSON_BYTES = 16 << 20  # an index of shards has about 100 bytes per tensor


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises: UserError if there is none, or the file is too large."""
    try:
        if path.stat().st_size > MOST_JSON_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes; too large; at most {MOST_JSON_BYTES:,} are accepted")
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: invalid JSON: not UTF-8 at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: invalid JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object")
    return content
