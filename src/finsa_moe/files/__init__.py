"""Files and folders that no other run can spoil: those that appear whole or not at all, those held, those that grow.

Of formats it knows one: what says of a folder what it is, a JSON object.
"""

from finsa_moe.files.growing import FULL, append
from finsa_moe.files.held import hold, locked, locked_folder
from finsa_moe.files.read import is_file, read_json, read_json_and_sha256, sha256
from finsa_moe.files.whole import (
    aside_of,
    beside,
    settle_folder,
    whole_file,
    whole_folder,
    whole_path,
    working_folder,
    write,
)  # fmt: skip

__all__ = [
    "FULL", "append", "aside_of", "beside", "hold", "is_file", "locked", "locked_folder", "read_json",
    "read_json_and_sha256", "settle_folder", "sha256", "whole_file", "whole_folder", "whole_path", "working_folder",
    "write",
]  # fmt: skip
